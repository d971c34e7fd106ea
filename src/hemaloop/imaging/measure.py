"""What can be said of one image without knowing what it shows."""

import hashlib
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from hemaloop.imaging.container import read_container
from hemaloop.imaging.decode import Image, decode_pixels
from hemaloop.imaging.exif import find_private
from hemaloop.imaging.fingerprint import fingerprints

Grey = NDArray[np.uint8]

_COMMON_SIDE = 256  # px, the shorter side at which focus and foreground are measured
_ENOUGH_SIDE = 512  # px; a JPEG with more is decoded at a half, a quarter or an eighth
_STAINED_DENSITY = 0.1  # optical density above the background's, in green, where every stain absorbs
_NOISE = 0.5  # squared grey levels; keeps the focus of an even field finite


@dataclass(frozen=True)
class Measures:
    """One image, measured once. Everything from `phash` on is empty or 0 where it could not be decoded."""

    bytes: int
    sha256: str
    format: str  # "jpeg", "png" or ""
    problem: str  # "" | "empty" | "not_an_image" | "truncated" | "undecodable" | "too_large"
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


def measure(data: bytes) -> Measures:
    """Measure an encoded image. Never raises on its content: what is wrong is in `problem`."""
    found = read_container(data)
    image, problem = decode_pixels(data, found, _shrink(found.width, found.height))
    known = (len(data), hashlib.sha256(data).hexdigest(), found.format)
    private = find_private(found.exif, found.xmp)
    if image is None:
        return Measures(*known, problem, found.width, found.height, found.channels, private_exif=private)
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    mean, deviation = cv2.meanStdDev(grey)
    phash, phash_fine = fingerprints(grey)
    small = _at_common_scale(image)
    return Measures(
        *known, "", found.width, found.height, found.channels,
        phash=phash,
        focus=focus(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)),
        brightness=float(mean[0, 0]),
        contrast=float(deviation[0, 0]),
        clipped=clipped(grey),
        foreground=foreground(small),
        private_exif=private,
        phash_fine=phash_fine,
    )  # fmt: skip


def focus(grey: Grey) -> float:
    """Energy of fine detail in percent of the energy of detail four times as coarse.

    A ratio of two bands of the picture's own detail, so neither how many cells there are, nor their contrast,
    nor the brightness counts; defocus takes the fine band away first. The finest 0.6 px are left out: noise and
    JPEG's own edges live there.

    Args:
        grey: (H, W), at the common scale: what is fine depends on it.

    Source: difference-of-Gaussians bands, Lowe 2004, section 3; the idea of the ratio, Crete et al. 2007, "The
    blur effect".
    """
    levels = [cv2.GaussianBlur(grey.astype(np.float32), (0, 0), sigma) for sigma in (0.6, 1.2, 2.4, 4.8)]
    fine, coarse = np.var(levels[0] - levels[1]), np.var(levels[2] - levels[3])
    return float(100 * fine / (coarse + _NOISE))


def clipped(grey: Grey) -> float:
    """Share of pixels at 0 or 1, or at 254 or 255: JPEG moves a level by one."""
    return 1 - cv2.countNonZero(cv2.inRange(grey, 2, 253)) / grey.size


def foreground(image: Image) -> float:
    """Share of pixels of an RGB image (H, W, 3) that absorb clearly more green light than the background.

    The background is the 95th percentile: some of it shows in every field. Optical density is
    log10(background / level), after Beer and Lambert.
    """
    green = image[:, :, 1]
    background = float(np.percentile(green, 95))
    return cv2.countNonZero(cv2.inRange(green, 0, int(background / 10**_STAINED_DENSITY))) / green.size


def _shrink(width: int, height: int) -> int:
    return next((part for part in (8, 4, 2) if min(width, height) >= part * _ENOUGH_SIDE), 1)


def _at_common_scale(image: Image) -> Image:
    """Shrunk to the common scale; a smaller image stays, since growing it adds no detail."""
    height, width = image.shape[:2]
    scale = _COMMON_SIDE / min(height, width)
    if scale >= 1:
        return image
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small: Image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return small
