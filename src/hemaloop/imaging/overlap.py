"""How much of a picture was already shown by others that were taken a little way off on the same slide."""

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from hemaloop.imaging.decode import Image

Grey = NDArray[np.float32]

SIDE_PX = 128  # the longer side, at which pictures are compared
_TILE_PX = 16
_SAME_TILE = 8.0  # grey levels; the mean difference of a tile that shows the same
_SAME_PLACE = 0.6  # correlation of two pictures where they overlap, above which they show the same place
_LEAST_OVERLAP = 0.1  # of a picture; two that have less in common are told apart by nothing


@dataclass(frozen=True)
class Glance:
    """A picture, small and grey, and its spectrum."""

    grey: Grey  # (H, W), the longer side SIDE_PX
    spectrum: NDArray[np.complex64]


def glance(image: Image) -> Glance:
    """Of an RGB picture (H, W, 3)."""
    height, width = image.shape[:2]
    scale = SIDE_PX / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    grey = cv2.cvtColor(cv2.resize(image, size, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)
    return from_grey(grey)


def from_grey(grey: NDArray[np.uint8]) -> Glance:
    """Of a picture that is small and grey already."""
    exact = grey.astype(np.float32)
    window = np.outer(np.hanning(exact.shape[0] + 2)[1:-1], np.hanning(exact.shape[1] + 2)[1:-1])
    # Twice as large, so that a shift of more than half the picture is not taken for one the other way.
    spectrum = np.fft.rfft2((exact - exact.mean()) * window, [2 * side for side in exact.shape])
    return Glance(exact, spectrum.astype(np.complex64))


def unseen(new: Glance, others: Iterable[Glance], enough: float = 0.0) -> float:
    """The share of a picture, 0 to 1, that none of the others shows; looking ends once less than `enough` is left.

    Another picture counts where it shows the same after the shift between the two is made good, tile by tile: so what
    changed in a place counts as new, and a wrong shift never makes anything seen.
    """
    seen = np.zeros([-(-side // _TILE_PX) for side in new.grey.shape], bool)
    for other in others:
        if other.grey.shape == new.grey.shape:
            seen |= _seen(new, other)
            if 1 - seen.mean() < enough:
                break
    return float(1 - seen.mean())


def _seen(new: Glance, other: Glance) -> NDArray[np.bool_]:
    """Which tiles of a picture another shows too."""
    height, width = new.grey.shape
    dx, dy = _shift(new, other)
    move = np.array([[1, 0, dx], [0, 1, dy]], np.float32)
    moved = cv2.warpAffine(other.grey, move, (width, height))
    there = cv2.warpAffine(np.ones_like(other.grey), move, (width, height)) > 0.99
    here, before = new.grey[there], moved[there]
    if there.mean() < _LEAST_OVERLAP or not _correlation(here, before) > _SAME_PLACE:
        return np.zeros(_tiles(new.grey).shape, bool)
    # The lamp may have been turned up: brightness as a whole is made equal first.
    difference = np.abs(new.grey - moved - (here.mean() - before.mean()))
    seen: NDArray[np.bool_] = (_tiles(there.astype(np.float32)) == 1) & (_tiles(difference) < _SAME_TILE)
    return seen


def _shift(new: Glance, other: Glance) -> tuple[float, float]:
    """By how many pixels (x, y) the other must be moved to lie on the new one.

    Source: Kuglin and Hines 1975, "The phase correlation image alignment method".
    """
    cross = new.spectrum * other.spectrum.conj()
    sides = [2 * side for side in new.grey.shape]
    found = np.fft.irfft2(cross / (np.abs(cross) + 1e-6), sides)
    y, x = np.unravel_index(int(found.argmax()), found.shape)
    return tuple(_signed(int(at), side) for at, side in ((x, sides[1]), (y, sides[0])))  # type: ignore[return-value]


def _signed(at: int, side: int) -> float:
    return float(at - side if at > side // 2 else at)


def _correlation(a: Grey, b: Grey) -> float:
    """Pearson's; two even surfaces, which have none, are the same."""
    a, b = a - a.mean(), b - b.mean()
    strength = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum()) / strength if strength > 1.0 * a.size else 1.0


def _tiles(values: Grey) -> Grey:
    """Means of the tiles; at the right and lower edge a tile may be smaller."""
    rows = np.arange(0, values.shape[0], _TILE_PX)
    columns = np.arange(0, values.shape[1], _TILE_PX)
    sums = np.add.reduceat(np.add.reduceat(values, rows, 0), columns, 1)
    sizes = np.outer(np.diff([*rows, values.shape[0]]), np.diff([*columns, values.shape[1]]))
    means: Grey = (sums / sizes).astype(np.float32)
    return means
