"""Micrometres per pixel, told by what an image of a blood film shows: red cells, else nuclei.

Red cells are about 7.5 um across and all much the same. Sources: Price-Jones 1933, "Red blood cell diameters" (dry
films); Fabry et al. 1981, J Clin Invest 67:1284, table II (7.81 +- 0.63 um within a person). Nuclei are a poor second:
that of a small lymphocyte has about 8.5 um, and others differ by a third.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from hemaloop.imaging.circles import Circle, Floats, distinct, find_circles
from hemaloop.imaging.decode import Image
from hemaloop.imaging.resizing import resized
from hemaloop.imaging.stained import Mask, Stained, separate

# Micrometres across the rim that is measured, which is the steepest part of a cell's edge. Annotators' boxes around red
# cells of 7.5 um ask for 6.5 (BCCD, loosely drawn), 0.1 um per pixel for 7.25 (CellaVision): the geometric mean.
RIM_UM = 6.86

# On a reduced image cells are found as well and quicker. Its shorter sides, px: each finds an octave of sizes.
_COARSE_SIDES, _SIDE = (60, 120), 240
_FINE_SIDES = (480, 960)  # only where cells are too small for those
_BASE_SIDE = 240  # at which colours are told apart
_LARGEST_GROWTH = 2.2  # of an image that is too small
_LEAST_SIDE = 48  # px
_LARGE, _MANY, _ALONE = 30.0, 6, 0.4  # px of 240, cells, rival: what the coarse sides alone tell well enough
_SMALL = 18.0  # px of 240: cells below it are looked at more finely
_SUPPORT = 0.65  # share of a cell's rim that must be seen
_LEAST_CONTRAST = 10.0  # levels, of cells against the background; less is an evenly coloured field
_LEAST_SLOPE = 0.06  # of the contrast, per px
_NUCLEAR = 0.04  # share of a red cell that may look like a nucleus
_FILLED = 0.3  # of the contrast, that a red cell has on average
_LEAST_CELLS = 3
_SUPPORT_OF_CHANCE = 0.4
_BANDWIDTH = 0.12  # of the logarithm of the diameter
_SAME_SIZE, _OTHER_SIZE = 0.25, 0.3  # differences of that logarithm
_LARGEST_RIVAL = 0.65
_LEAST_COVERED = 0.04  # share of what is stained that red cells of the size found must make up
_PEOPLE = 0.04  # between people, as standard deviation of the logarithm: healthy ones differ less, the ill more
_REFERENCES = 0.06  # half of what the two known scales disagree about, see RIM_UM
_MISTAKEN = 0.15
_LEAST_NUCLEUS = 0.03  # of the shorter side
_LOBES_APART = 0.15  # of the largest part's diameter
NUCLEUS_UM = 9.5  # median that red cells tell on the development images of all three sets
_NUCLEUS_SPREAD = 0.3


@dataclass(frozen=True)
class Scale:
    um_per_px: float
    low: float  # 95 % interval
    high: float
    by: Literal["red cells", "nucleus"]
    count: int  # of what was measured


@dataclass(frozen=True)
class _Film:
    """What is searched for cells."""

    image: Image
    stained: Stained  # at _BASE_SIDE or less
    background: NDArray[np.float32]  # RGB
    contrast: float  # levels between background and cells
    stained_px: float  # of the image, without nuclei


def estimate(image: Image) -> Scale | None:
    """How large a pixel of an RGB uint8 (H, W, 3) image of a blood film is; None where nothing in it tells.

    The interval holds the spread of what was measured, that of people, and what the references disagree about.
    """
    short = min(image.shape[:2])
    if short < _LEAST_SIDE:
        return None
    base = resized(image, min(_BASE_SIDE, short))
    stained = separate(base)
    film = _film(image, base, stained)
    return (_by_red_cells(film) if film else None) or _by_nuclei(stained, short / min(base.shape[:2]))


def _by_red_cells(film: _Film) -> Scale | None:
    grown = min(film.image.shape[:2]) / _BASE_SIDE
    circles = _circles(film, _COARSE_SIDES)
    found = _commonest(circles)
    if found is None or found.diameter < _LARGE * grown or found.count < _MANY or found.rival > _ALONE:
        circles = distinct([*circles, *_circles(film, (_SIDE,))])
        found = _commonest(circles)
    if found is None or found.diameter < _SMALL * grown:
        circles = distinct([*circles, *_circles(film, _FINE_SIDES)])
        found = _commonest(circles)
    if found is None or found.count < _LEAST_CELLS or found.rival > _LARGEST_RIVAL:
        return None
    if found.count * np.pi / 4 * found.diameter**2 < _LEAST_COVERED * film.stained_px:
        return None  # specks: whatever they are, they are not what the film is full of
    of_mean = 1.25 * found.spread / np.sqrt(found.count)  # standard error of a median
    deviation = float(np.sqrt(of_mean**2 + _PEOPLE**2 + _REFERENCES**2 + (_MISTAKEN * found.rival) ** 2))
    return _scale(RIM_UM / found.diameter, deviation, "red cells", found.count)


def _by_nuclei(stained: Stained, grown: float) -> Scale | None:
    """`grown`: pixels of the image in one of `stained`'s."""
    diameters = nuclear_diameters(stained.nuclei)
    if not diameters:
        return None
    deviation = float(np.sqrt(_NUCLEUS_SPREAD**2 * (0.5 + 0.5 / len(diameters))))
    return _scale(NUCLEUS_UM / (grown * float(np.median(diameters))), deviation, "nucleus", len(diameters))


def _scale(um_per_px: float, deviation: float, by: Literal["red cells", "nucleus"], count: int) -> Scale:
    """`deviation`: standard deviation of the logarithm."""
    factor = float(np.exp(1.96 * deviation))
    return Scale(um_per_px, um_per_px / factor, um_per_px * factor, by, count)


def nuclear_diameters(nuclei: Mask) -> list[float]:
    """Of circles with the areas of nuclei that the border does not cut, px.

    Lobes that nearly touch are one nucleus. What is far smaller than the largest, cut or not, is a platelet.
    """
    largest = max((diameter for diameter, _ in _diameters(nuclei)), default=0.0)
    if largest < _LEAST_NUCLEUS * min(nuclei.shape):
        return []
    reach = 2 * round(_LOBES_APART * largest) + 1
    padded = np.pad(nuclei, reach)  # else closing would join what lies near the border with it
    joined = cv2.morphologyEx(padded, cv2.MORPH_CLOSE, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach)))
    found = _diameters(np.ascontiguousarray(joined[reach:-reach, reach:-reach]))
    largest = max(diameter for diameter, _ in found)
    return [diameter for diameter, is_cut in found if diameter > 0.6 * largest and not is_cut]


def _diameters(mask: Mask) -> list[tuple[float, bool]]:
    """Of what hangs together, and whether the border cuts it."""
    height, width = mask.shape
    _, _, stats, _ = cv2.connectedComponentsWithStats(mask)
    return [
        (2 * float(np.sqrt(area / np.pi)), bool(min(left, top, width - left - across, height - top - down) <= 0))
        for left, top, across, down, area in stats[1:]
    ]


@dataclass(frozen=True)
class _Commonest:
    diameter: float  # px, median
    spread: float  # standard deviation of its logarithm
    count: int
    rival: float  # 0 to 1: how common the next size is against this one


def _commonest(circles: Sequence[Circle]) -> _Commonest | None:
    """The size that most circles have, each counting as far as its rim is seen."""
    if len(circles) < _LEAST_CELLS:
        return None
    sizes = np.log([2 * circle.radius for circle in circles])
    weights = np.array([circle.support for circle in circles]) - _SUPPORT_OF_CHANCE
    grid = np.arange(sizes.min(), sizes.max() + 0.02, 0.02)
    density = np.exp(-0.5 * ((grid[:, None] - sizes) / _BANDWIDTH) ** 2) @ weights
    mode = grid[int(density.argmax())]
    same = np.abs(sizes - mode) < _SAME_SIZE
    if not same.any():
        return None
    inner = density[1:-1]
    rivals = np.r_[False, (inner > density[:-2]) & (inner >= density[2:]), False] & (np.abs(grid - mode) > _OTHER_SIZE)
    rival = float(density[rivals].max() / density.max()) if rivals.any() else 0.0
    return _Commonest(float(np.exp(np.median(sizes[same]))), float(sizes[same].std()), int(same.sum()), rival)


def _film(image: Image, base: Image, stained: Stained) -> _Film | None:
    """None for a field that is evenly coloured but for nuclei."""
    background = _median(base, stained.nearest == 0)
    near_nuclei = cv2.dilate(stained.nuclei, np.ones((7, 7), np.uint8))
    dark = _darkness(base, background)[near_nuclei == 0]
    contrast = _contrast(dark)
    if contrast < _LEAST_CONTRAST:
        return None
    grown = image.shape[0] * image.shape[1] / (base.shape[0] * base.shape[1])
    return _Film(image, stained, background, contrast, grown * float(np.count_nonzero(dark > contrast / 2)))


def _median(image: Image, where: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Of each channel, over the pixels where it holds; by counting levels, since there are only 256."""
    mask = where.astype(np.uint8)
    sums = [np.cumsum(cv2.calcHist([image], [channel], mask, [256], [0, 256])) for channel in range(3)]
    return np.array([np.searchsorted(each, each[-1] / 2) for each in sums], np.float32)


def _circles(film: _Film, sides: Sequence[int]) -> list[Circle]:
    """Red cells of all sizes that these sides tell, px of the image."""
    short = min(film.image.shape[:2])
    found: list[Circle] = []
    for side in sides:
        if side <= _LARGEST_GROWTH * short:
            grown = short / side
            found += [Circle(c.x * grown, c.y * grown, c.radius * grown, c.support) for c in _at(film, side)]
    return distinct(found)


def _at(film: _Film, side: int) -> list[Circle]:
    image = resized(film.image, side)
    dark = np.minimum(_darkness(image, film.background), np.float32(2 * film.contrast))
    size = (image.shape[1], image.shape[0])
    nuclei = cv2.resize(film.stained.nuclei, size, interpolation=cv2.INTER_NEAREST)
    near_nuclei = cv2.dilate(nuclei, np.ones((3, 3), np.uint8))
    circles = find_circles(dark, near_nuclei, _LEAST_SLOPE * film.contrast, _SUPPORT)
    return [circle for circle in circles if _is_red(circle, dark, film.contrast, nuclei)]


def _is_red(circle: Circle, dark: Floats, contrast: float, nuclei: Mask) -> bool:
    reach = 0.8 * circle.radius
    rows = slice(max(0, round(circle.y - reach)), max(0, round(circle.y + reach) + 1))
    columns = slice(max(0, round(circle.x - reach)), max(0, round(circle.x + reach) + 1))
    inside = dark[rows, columns]
    return inside.size >= 9 and bool(nuclei[rows, columns].mean() < _NUCLEAR and inside.mean() > _FILLED * contrast)


def _darkness(image: Image, background: NDArray[np.float32]) -> Floats:
    """How far below the background's, in the channel where most is missing: any stain shows there."""
    missing = [level - channel for level, channel in zip(background, cv2.split(image), strict=True)]
    dark: Floats = np.maximum(np.maximum(missing[0], missing[1]), np.maximum(missing[2], np.float32(0)))
    return dark


def _contrast(dark: Floats) -> float:
    """Difference between what is darker and lighter than Otsu's threshold."""
    if len(dark) < 100:
        return 0.0
    levels = np.minimum(dark, np.percentile(dark, 99)).astype(np.uint8)
    threshold, _ = cv2.threshold(levels[:, None], 0, 255, cv2.THRESH_OTSU)
    above = levels > threshold
    return float(levels[above].mean() - levels[~above].mean()) if above.any() and not above.all() else 0.0
