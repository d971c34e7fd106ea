"""What can be said of one image without knowing what it shows.

Everything is measured on one decoded picture: of a large JPEG, that is decoded at a half, a quarter or an eighth of
its size, which reads every block of the file all the same (see docs/adr/0008-measured-on-a-reduced-picture.md).
"""

import hashlib
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from hemaloop.imaging.container import Container, read_container
from hemaloop.imaging.decode import Image, decode_pixels
from hemaloop.imaging.exif import find_private
from hemaloop.imaging.fingerprint import fingerprints

Grey = NDArray[np.uint8]

_COMMON_SIDE = 240  # px, the shorter side at which focus is measured; nothing is measured smaller
_EVERY = 4  # px; the background's colour is told by every fourth pixel in each direction
_STAINED_DENSITY = 0.1  # optical density above the background's, in green, where every stain absorbs
_NOISE = 0.5  # squared grey levels; keeps the focus of an even field finite


@dataclass(frozen=True)
class Measures:
    """One image, measured once. What decoding tells is empty or 0 where it could not be decoded."""

    bytes: int
    sha256: str
    format: str  # "jpeg", "png" or ""
    problem: str  # "" or one of imaging.contents: "empty", "truncated", "bomb" ...
    width: int  # px, as declared
    height: int
    channels: int
    phash: str = ""  # 16 hexadecimal digits
    focus: float = 0.0  # share of fine detail, in percent of coarser; see `focus`
    brightness: float = 0.0  # mean grey level, 0 to 255
    contrast: float = 0.0  # standard deviation of the grey level
    clipped: float = 0.0  # share of pixels at an end of the grey scale
    foreground: float = 0.0  # share of stained pixels
    private_exif: str = ""  # of "gps", "serial number", "name"
    phash_fine: str = ""  # 48 hexadecimal digits, that confirm what `phash` finds
    note: str = ""  # what `problem` is about
    bit_depth: int = 0  # of one channel, as stored
    frames: int = 0  # pictures in the file
    jpeg_quality: int = 0  # 1 to 100 on libjpeg's scale, as the quantisation tables tell; 0: no JPEG
    bytes_after_end: int = 0  # behind the image's end
    colour_cast: float = 0.0  # chroma C*ab of the background, CIELAB units; see `colour_cast`


def measure(data: bytes) -> Measures:
    """Measure an encoded image. Never raises on its content: what is wrong is in `problem`."""
    found = read_container(data)
    shrink = _shrink(found)
    image, problem = decode_pixels(data, found, shrink if found.format == "jpeg" else 1)
    if image is None:
        return _measures(data, found, problem)
    if found.format == "png" and shrink > 1:
        image = _shrunk(image, shrink)
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    levels, green = _histogram(grey, 0), _histogram(image, 1)
    background = _background(green)
    common = _at_common_scale(grey)
    phash, phash_fine = fingerprints(_halved(common) if min(common.shape) >= _COMMON_SIDE else common)
    brightness, contrast = _mean_and_deviation(levels)
    return _measures(
        data, found, "",
        phash=phash,
        phash_fine=phash_fine,
        focus=focus(common),
        brightness=brightness,
        contrast=contrast,
        clipped=clipped(levels),
        foreground=float(green[: _stained(background) + 1].sum()),
        colour_cast=colour_cast(image, background),
    )  # fmt: skip


def focus(grey: Grey) -> float:
    """Energy of fine detail in percent of the energy of detail four times as coarse.

    A ratio of one band of the picture's detail at two scales, so neither how many cells there are, nor their contrast,
    nor the brightness counts; defocus takes the fine detail away first. The finest 0.6 px are left out: noise and
    JPEG's own edges live there.

    Args:
        grey: (H, W), at the common scale: what is fine depends on it.

    Source: difference-of-Gaussians bands, Lowe 2004, section 3; the idea of the ratio, Crete et al. 2007, "The
    blur effect".
    """
    return 100 * _detail(grey) / (_detail(_halved(_halved(grey))) + _NOISE)


def _halved(grey: Grey) -> Grey:
    size = (max(1, grey.shape[1] // 2), max(1, grey.shape[0] // 2))
    half: Grey = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
    return half


def _detail(grey: Grey) -> float:
    """Mean square of a picture's detail between 0.6 and 1.2 px."""
    # In float32: of a blurred picture little more is left than the rounding of 8 bits would add.
    exact = grey.astype(np.float32)
    fine, coarse = cv2.GaussianBlur(exact, (5, 5), 0.6), cv2.GaussianBlur(exact, (7, 7), 1.2)
    return float(cv2.norm(fine, coarse, cv2.NORM_L2SQR)) / grey.size


def clipped(levels: NDArray[np.float32]) -> float:
    """Share of pixels at 0 or 1, or at 254 or 255: JPEG moves a level by one. `levels`: see `_histogram`."""
    return float(levels[:2].sum() + levels[254:].sum())


def colour_cast(image: Image, background: int) -> float:
    """How far the background is from grey: the chroma C*ab of its mean colour, in CIELAB units (D65, sRGB).

    Empty glass under a white-balanced lamp has about 0 to 5; 10 is a plain tint.

    Args:
        image: RGB (H, W, 3).
        background: its level in green; what is a little darker or brighter belongs to it.

    Source: CIE 15:2004, section 8.2.1.
    """
    small = np.ascontiguousarray(image[::_EVERY, ::_EVERY])
    nearly = cv2.inRange(small, (0, _stained(background) + 1, 0), (255, 255, 255))
    mean = cv2.mean(small, nearly)[:3]
    _, a, b = cv2.cvtColor(np.array([[mean]], np.float32) / 255, cv2.COLOR_RGB2LAB)[0, 0]
    return float(np.hypot(a, b))


def _measures(data: bytes, found: Container, problem: str, **decoded: float | str) -> Measures:
    return Measures(
        len(data), hashlib.sha256(data).hexdigest(), found.format, problem, found.width, found.height, found.channels,
        private_exif=find_private(found.exif, found.xmp, found.authors),
        note=found.note,
        bit_depth=found.bit_depth,
        frames=found.frames,
        jpeg_quality=found.quality,
        bytes_after_end=found.after_end,
        **decoded,  # type: ignore[arg-type]
    )  # fmt: skip


def _histogram(image: Image | Grey, channel: int) -> NDArray[np.float32]:
    """Share of pixels at each of the 256 levels."""
    counts = cv2.calcHist([image], [channel], None, [256], [0, 256])
    shares: NDArray[np.float32] = counts.ravel() / np.float32(image.shape[0] * image.shape[1])
    return shares


_LEVELS = np.arange(256, dtype=np.float64)


def _mean_and_deviation(levels: NDArray[np.float32]) -> tuple[float, float]:
    mean = float(levels @ _LEVELS)
    return mean, float(np.sqrt(max(0.0, float(levels @ (_LEVELS - mean) ** 2))))


def _background(green: NDArray[np.float32]) -> int:
    """The 95th percentile of the green levels: some background shows in every field."""
    return int(np.searchsorted(np.cumsum(green, dtype=np.float64), 0.95))


def _stained(background: int) -> int:
    """The brightest level in green that absorbs clearly more than the background.

    Optical density is log10(background / level), after Beer and Lambert.
    """
    return int(background / 10**_STAINED_DENSITY)


def _shrink(found: Container) -> int:
    """By how much an image is measured smaller: to no less than the common scale."""
    shorter = min(found.width, found.height)
    return next((part for part in (8, 4, 2) if shorter >= part * _COMMON_SIDE), 1)


def _shrunk(image: Image, shrink: int) -> Image:
    """As a JPEG's decoder does it by itself; a PNG's would leave pixels out."""
    size = (image.shape[1] // shrink, image.shape[0] // shrink)
    small: Image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return small


def _at_common_scale(grey: Grey) -> Grey:
    """Shrunk to the common scale; a smaller image stays, since growing it adds no detail."""
    height, width = grey.shape
    scale = _COMMON_SIDE / min(height, width)
    if scale >= 1:
        return grey
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    # Less than halved, no pixel is left out by the quicker way.
    small: Grey = cv2.resize(grey, size, interpolation=cv2.INTER_LINEAR if scale > 0.5 else cv2.INTER_AREA)
    return small
