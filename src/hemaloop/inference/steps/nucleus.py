"""Where the nucleus is: quick enough to be asked of every image, and content with none."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from hemaloop.imaging.decode import Image

_SIDE = 96  # px, the shorter side at which is looked
_CONTRAST = 25  # levels of red between nucleus and the rest; less is noise
_AREA = (0.004, 0.6)  # share of the picture: below it is a platelet or a speck, above it no nucleus
_GAP = 5  # px at _SIDE; lobes no further apart are one nucleus


@dataclass(frozen=True)
class Nucleus:
    row: float  # of its middle, px
    column: float
    diameter_px: float  # of a disc of the same area


def find_nucleus(pixels: Image) -> Nucleus | None:
    """The large nucleus nearest the middle, or None.

    A nucleus absorbs red light, red cells and glass hardly do; so Otsu's threshold on red parts them.

    Source: Otsu 1979, "A threshold selection method from gray-level histograms".
    """
    height, width = pixels.shape[:2]
    shrink = max(1.0, min(height, width) / _SIDE)
    size = (max(1, round(width / shrink)), max(1, round(height / shrink)))
    red = cv2.resize(cv2.extractChannel(pixels, 0), size, interpolation=cv2.INTER_AREA)
    red = cv2.GaussianBlur(red, (5, 5), 1)
    dark = _dark(red)
    if dark is None:
        return None
    _, _, stats, middles = cv2.connectedComponentsWithStats(dark, connectivity=8)
    areas = stats[1:, cv2.CC_STAT_AREA].astype(np.float64)
    best = int(np.argmax(areas * _nearness(middles[1:], dark.shape)))
    if not _AREA[0] <= areas[best] / dark.size <= _AREA[1]:
        return None
    column, row = middles[best + 1]
    return Nucleus(
        (row + 0.5) * height / size[1] - 0.5,
        (column + 0.5) * width / size[0] - 0.5,
        2 * float(np.sqrt(areas[best] * (width / size[0]) * (height / size[1]) / np.pi)),
    )


def _dark(red: NDArray[np.uint8]) -> NDArray[np.uint8] | None:
    """Where red is absorbed, gaps between lobes closed; None where nothing stands out."""
    _, dark = cv2.threshold(red, 0, 255, cv2.THRESH_BINARY_INV | cv2.THRESH_OTSU)
    if not dark.any() or dark.all():
        return None
    if cv2.mean(red, cv2.bitwise_not(dark))[0] - cv2.mean(red, dark)[0] < _CONTRAST:
        return None
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (_GAP, _GAP))
    closed: NDArray[np.uint8] = cv2.morphologyEx(dark, cv2.MORPH_CLOSE, disc)
    return closed


def _nearness(middles: NDArray[np.float64], shape: tuple[int, ...]) -> NDArray[np.float64]:
    """1 in the picture's middle, falling like a Gaussian; `middles` are (n, 2) columns and rows."""
    away = (middles - (shape[1] / 2, shape[0] / 2)) / min(shape)
    nearness: NDArray[np.float64] = np.exp(-2 * (away**2).sum(axis=1))
    return nearness
