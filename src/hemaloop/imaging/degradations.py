"""What cheap cameras and hurried hands do to an image, in five strengths; and what tells colour from shape.

Strengths of one kind follow each other from barely seen to plainly bad. Lengths are shares of the image's shorter
side, so that the same strength looks alike at every size. Source of the idea, and of five strengths: Hendrycks and
Dietterich 2019, "Benchmarking neural network robustness to common corruptions", arXiv:1903.12261.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import cv2
import numpy as np
from numpy.typing import NDArray

from hemaloop.imaging.decode import Image, decode, encode_jpeg

STRENGTHS = (1, 2, 3, 4, 5)

_BLUR = (0.002, 0.004, 0.006, 0.009, 0.013)  # standard deviation, of the shorter side
_NOISE = (4.0, 8.0, 14.0, 22.0, 32.0)  # standard deviation in levels of 255
_QUALITY = (60, 40, 25, 15, 8)  # of a JPEG, on libjpeg's scale
_GAIN = (0.05, 0.10, 0.16, 0.23, 0.32)  # by which red rises and blue falls, or the reverse
_STOPS = (0.15, 0.30, 0.50, 0.75, 1.00)  # of exposure, darker or brighter
_PATCHES = 8  # that a side is cut into
_DENSITY = 0.4  # largest relative change of a channel's optical density by another stain

_LAMP = (212.0, 250.0)  # levels of the ground under another lamp
_GAMMA = 2.2  # of sRGB, about
_ALL_LEVELS = np.arange(256.0)

Degradation = Callable[[Image, int, np.random.Generator], Image]


def blur(image: Image, strength: int, rng: np.random.Generator) -> Image:
    """Out of focus."""
    blurred: Image = cv2.GaussianBlur(image, (0, 0), _BLUR[strength - 1] * min(image.shape[:2]))
    return blurred


def noise(image: Image, strength: int, rng: np.random.Generator) -> Image:
    """A sensor's noise, alike in every channel and pixel."""
    grain = rng.standard_normal(image.shape, np.float32) * np.float32(_NOISE[strength - 1])
    return _rounded(image.astype(np.float32) + grain)


def jpeg(image: Image, strength: int, rng: np.random.Generator) -> Image:
    """Saved with few bytes, and read again."""
    return decode(encode_jpeg(image, _QUALITY[strength - 1]))


def white_balance(image: Image, strength: int, rng: np.random.Generator) -> Image:
    """A lamp that the camera takes for another, warmer or colder."""
    gain = _GAIN[strength - 1] * rng.choice((-1.0, 1.0))
    return _mapped(image, _ALL_LEVELS * np.array([[1 + gain], [1.0], [1 - gain]]))


def exposure(image: Image, strength: int, rng: np.random.Generator) -> Image:
    """More or less light, counted in stops before the camera's gamma."""
    stops = _STOPS[strength - 1] * rng.choice((-1.0, 1.0))
    return _mapped(image, np.tile(_ALL_LEVELS * 2 ** (stops / _GAMMA), (3, 1)))


DEGRADATIONS: Mapping[str, Degradation] = MappingProxyType(
    {"blur": blur, "noise": noise, "jpeg": jpeg, "white_balance": white_balance, "exposure": exposure}
)


def degrade(image: Image, kind: str, strength: int, rng: np.random.Generator) -> Image:
    """RGB uint8 (H, W, 3) as it would be after one of `DEGRADATIONS`, in a strength of 1 to 5; the same shape."""
    return DEGRADATIONS[kind](image, strength, rng)


def grey(image: Image) -> Image:
    """Without colour: the luma in all three channels."""
    without: Image = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    return without


def restain(image: Image, rng: np.random.Generator) -> Image:
    """As if stained and lit otherwise: each channel's optical density and ground drawn anew, shapes as they were.

    Source: absorbance adds in optical density, Ruifrok and Johnston 2001, Anal. Quant. Cytol. Histol. 23:291.
    """
    ground = np.maximum(np.percentile(image[::4, ::4], 95, axis=(0, 1)), 1)[:, np.newaxis]
    change = 1 + rng.uniform(-_DENSITY, _DENSITY, (3, 1))
    lamp = rng.uniform(*_LAMP, (3, 1))
    return _mapped(image, lamp * (np.maximum(_ALL_LEVELS, 1) / ground) ** change)


def shuffle(image: Image, rng: np.random.Generator) -> Image:
    """Every colour of the image and no cell: its patches, 8 by 8, in another order; cut to a multiple of 8 px."""
    height, width = (side // _PATCHES for side in image.shape[:2])
    patches = image[: height * _PATCHES, : width * _PATCHES].reshape(_PATCHES, height, _PATCHES, width, 3)
    mixed = rng.permutation(patches.swapaxes(1, 2).reshape(-1, height, width, 3))
    rows = mixed.reshape(_PATCHES, _PATCHES, height, width, 3).swapaxes(1, 2)
    return np.asarray(rows.reshape(height * _PATCHES, width * _PATCHES, 3))


def _mapped(image: Image, table: NDArray[np.float64]) -> Image:
    """Every level replaced by what `table`, (3, 256), has for it."""
    mapped: Image = cv2.LUT(image, _rounded(table).T[np.newaxis])
    return mapped


def _rounded(values: NDArray[np.floating]) -> Image:
    return np.asarray(np.clip(np.rint(values), 0, 255), np.uint8)
