"""Learn thresholds from good images. Pure rules over measures."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hemaloop.errors import DataError
from hemaloop.ingest.thresholds import QUALITIES

FEWEST = 50  # images of a group
LEFT_OUT = 0.05  # of a group's images, at most, that look unlike the rest

LEARNED = QUALITIES
ONE_SIDED = ("clipped", "colour_cast")  # no image has too little of it
RATIOS = ("focus", "contrast", "foreground")  # twice as much is as far as half as much
HIGHEST = {"brightness": 255.0, "clipped": 1.0, "foreground": 1.0}

_FENCE, _FAR = 3.0, 6.0  # of the semi-interquartile range on that side
_LEAST = 0.1  # what is nearer than a tenth to a good image is good ...
_LEAST_SHARE = 0.02  # ... and nearer than this, where the median is near 0
_SMALLEST = 0.001  # of a ratio
_DIGITS = 3

Values = Mapping[str, float]  # by measure
Column = NDArray[np.float64]


@dataclass(frozen=True)
class Learned:
    """What one group of good images taught."""

    images: int  # that were learned from
    left_out: tuple[int, ...]  # places of those that look unlike the rest
    ranges: dict[str, tuple[float, float]]


def learn(images: Sequence[Values], known: Mapping[str, Sequence[float]]) -> Learned:
    """The range of each measure that good images keep to.

    Images that lie far out in any measure are left out first, at most `LEFT_OUT` of them. The range reaches from
    what is left as far as the fence on either side, which is where a long tail of its own length would end, and at
    least a tenth of the median beyond the outermost image. So all images but those left out pass.

    Args:
        images: measures of images that somebody called good.
        known: today's ranges: an end that is not learned stays.

    Raises:
        DataError: too few images, or too many unlike the rest: the images are not of one kind.

    Source: Tukey 1977, "Exploratory Data Analysis" (fences, and values far out); Kimber 1990, "Exploratory data
    analysis for possibly censored data from skewed distributions" (each side by its own half of the quartile range).
    """
    if len(images) < FEWEST:
        raise DataError(f"{len(images)} images are too few to learn from: wanted {FEWEST} or more good ones")
    table = {measure: np.array([image[measure] for image in images], np.float64) for measure in LEARNED}
    far = np.zeros(len(images), bool)
    for measure, values in table.items():
        lowest, highest = _fences(measure, values, _FAR)
        far |= values > highest if measure in ONE_SIDED else (values < lowest) | (values > highest)
    if far.mean() > LEFT_OUT:
        raise DataError(
            f"{far.sum()} of {len(images)} images are unlike the rest: wanted at most {LEFT_OUT:.0%}: "
            "take good images of one kind, or learn --by device or stain"
        )
    kept = {measure: values[~far] for measure, values in table.items()}
    ranges = {measure: _range(measure, values, known[measure]) for measure, values in kept.items()}
    return Learned(int((~far).sum()), tuple(int(place) for place in np.flatnonzero(far)), ranges)


def _range(measure: str, values: Column, known: Sequence[float]) -> tuple[float, float]:
    lowest, highest = _fences(measure, values, _FENCE)
    outermost = _moved(measure, values, values.min(), -1), _moved(measure, values, values.max(), 1)
    lowest, highest = min(lowest, outermost[0]), max(highest, outermost[1])
    ends = known[0] if measure in ONE_SIDED else max(0.0, lowest), min(highest, HIGHEST.get(measure, math.inf))
    return _rounded(ends[0], math.floor), _rounded(ends[1], math.ceil)


def _fences(measure: str, values: Column, reach: float) -> tuple[float, float]:
    scaled = np.log(np.maximum(values, _SMALLEST)) if measure in RATIOS else values
    low, middle, high = np.quantile(scaled, (0.25, 0.5, 0.75))
    fences = low - reach * (middle - low), high + reach * (high - middle)
    lowest, highest = np.exp(fences) if measure in RATIOS else fences
    # Where most images have one and the same value, what is a little off it is not far out.
    median = float(np.median(values))
    return min(float(lowest), _moved(measure, values, median, -1)), max(
        float(highest), _moved(measure, values, median, 1)
    )


def _moved(measure: str, values: Column, value: float, sign: int) -> float:
    """A value, moved out by a tenth: of itself for a ratio, else of the median."""
    if measure in RATIOS:
        return value * (1 + sign * _LEAST)
    return float(value + sign * max(_LEAST * float(np.median(values)), _LEAST_SHARE))


def _rounded(value: float, towards: Callable[[float], int]) -> float:
    """To a few digits, outwards."""
    if value <= 0:
        return 0.0
    scale = 10.0 ** (_DIGITS - 1 - math.floor(math.log10(value)))
    return towards(value * scale) / scale
