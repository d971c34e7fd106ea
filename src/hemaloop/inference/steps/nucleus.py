"""Where the nucleus is: quick enough to be asked of every image, and content with none."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from hemaloop.imaging.decode import Image
from hemaloop.inference.steps.picture import to_lab

_SIDE = 96  # px, the shorter side at which is looked
_CONTRAST = 8  # between nucleus and the rest, in halves of a - b; less is noise
_AREA = (0.004, 0.6)  # share of the picture: below it is a platelet or a speck, above it no nucleus
_GAP = 5  # px at _SIDE; lobes no further apart are one nucleus


@dataclass(frozen=True)
class Nucleus:
    row: float  # of its middle, px
    column: float
    diameter_px: float  # of a disc of the same area


def find_nucleus(pixels: Image) -> Nucleus | None:
    """The large nucleus nearest the middle, or None.

    Nuclei are purple: far along CIELAB's a - b, where red cells and glass are not, whatever their tint; so Otsu's
    threshold parts them.

    Source: Otsu 1979, "A threshold selection method from gray-level histograms".
    """
    height, width = pixels.shape[:2]
    shrink = max(1.0, min(height, width) / _SIDE)
    size = (max(1, round(width / shrink)), max(1, round(height / shrink)))
    purple = _purple(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA))
    if purple is None:
        return None
    _, _, stats, middles = cv2.connectedComponentsWithStats(purple, connectivity=8)
    areas = stats[1:, cv2.CC_STAT_AREA].astype(np.float64)
    best = int(np.argmax(areas * _nearness(middles[1:], purple.shape)))
    if not _AREA[0] <= areas[best] / purple.size <= _AREA[1]:
        return None
    column, row = middles[best + 1]
    return Nucleus(
        (row + 0.5) * height / size[1] - 0.5,
        (column + 0.5) * width / size[0] - 0.5,
        2 * float(np.sqrt(areas[best] * (width / size[0]) * (height / size[1]) / np.pi)),
    )


def _purple(pixels: Image) -> NDArray[np.uint8] | None:
    """Where it is purple, gaps between lobes closed; None where nothing stands out."""
    lab = to_lab(cv2.GaussianBlur(pixels, (5, 5), 1))
    hue = cv2.addWeighted(cv2.extractChannel(lab, 1), 0.5, cv2.extractChannel(lab, 2), -0.5, 128)  # 128 is grey
    _, purple = cv2.threshold(hue, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    if not purple.any() or purple.all():
        return None
    if cv2.mean(hue, purple)[0] - cv2.mean(hue, cv2.bitwise_not(purple))[0] < _CONTRAST:
        return None
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (_GAP, _GAP))
    closed: NDArray[np.uint8] = cv2.morphologyEx(purple, cv2.MORPH_CLOSE, disc)
    return closed


def _nearness(middles: NDArray[np.float64], shape: tuple[int, ...]) -> NDArray[np.float64]:
    """1 in the picture's middle, falling like a Gaussian; `middles` are (n, 2) columns and rows."""
    away = (middles - (shape[1] / 2, shape[0] / 2)) / min(shape)
    nearness: NDArray[np.float64] = np.exp(-2 * (away**2).sum(axis=1))
    return nearness
