"""How far a model's answers in the field lie from those on its test images. Pure rules over counts."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from hemaloop.ingest.drift import CHANCE, shares_apart
from hemaloop.protocol.report import CONFIDENCE_BINS


@dataclass(frozen=True)
class Reference:
    """What a model said of its test images, and what those are."""

    version: int
    revision: str  # the dataset revision that made it
    predicted: dict[str, int]  # label -> test images
    labels: dict[str, int]  # label -> test images that are of it
    worth: float  # independent draws; see drift.worth. Its blocks are groups
    confidence: tuple[int, ...] = ()  # test images in each bin of the largest probability


@dataclass(frozen=True)
class Answers:
    """What one model answered in the field: on one device, or on several."""

    version: int
    predicted: dict[str, int] = field(default_factory=dict)  # label -> images
    confidence: tuple[int, ...] = ()  # images in each bin of the largest probability
    failed: int = 0  # images without an answer, for the model's part
    unreadable: int = 0
    squares: float = 0.0  # of the images of each hour of each device, summed

    @property
    def images(self) -> int:
        return sum(self.predicted.values())

    @property
    def worth(self) -> float:
        """Independent draws; see drift.worth. An hour of a device is a block: a slide or two."""
        return self.images**2 / self.squares if self.squares else 0.0


@dataclass(frozen=True)
class Shift:
    """Beside the reference. NaN where there is nothing to compare."""

    images: int
    worth: float
    drift: float  # of the predicted classes' shares, for sure; see drift.shares_apart
    confidence: float  # mean largest probability
    confidence_drop: float  # below the reference's, for sure


def shift(answers: Answers, reference: Reference | None) -> Shift:
    """How far answers are from the reference, beyond what chance explains."""
    mean = mean_confidence(answers.confidence)
    if reference is None or not answers.images:
        return Shift(answers.images, answers.worth, math.nan, mean, math.nan)
    apart = shares_apart(answers.predicted, reference.predicted, answers.worth, reference.worth)
    drop = confidence_drop(answers, reference)
    return Shift(answers.images, answers.worth, apart, mean, drop)


def confidence_drop(answers: Answers, reference: Reference) -> float:
    """How far the mean largest probability is below the reference's for sure; NaN where there is nothing to compare.

    Less what chance alone exceeds once in a thousand. Both are means of the same bins' middles.

    Source: Hoeffding 1963, "Probability inequalities for sums of bounded random variables".
    """
    before, now = mean_confidence(reference.confidence), mean_confidence(answers.confidence)
    if math.isnan(before) or math.isnan(now):
        return math.nan
    by_chance = math.sqrt(-math.log(CHANCE) / 2 * (1 / answers.worth + 1 / reference.worth))
    return max(0.0, before - now - by_chance)


def mean_confidence(bins: Sequence[int]) -> float:
    """NaN where there are none."""
    images = sum(bins)
    return (
        sum(count * (place + 0.5) for place, count in enumerate(bins)) / CONFIDENCE_BINS / images
        if images
        else math.nan
    )


def together(parts: Iterable[Answers]) -> dict[int, Answers]:
    """What each model answered on all devices."""
    found: dict[int, Answers] = {}
    for part in parts:
        known = found.get(part.version, Answers(part.version))
        found[part.version] = Answers(
            part.version,
            dict(Counter(known.predicted) + Counter(part.predicted)),
            _added(known.confidence, part.confidence),
            known.failed + part.failed,
            known.unreadable + part.unreadable,
            known.squares + part.squares,
        )
    return found


def _added(first: Sequence[int], second: Sequence[int]) -> tuple[int, ...]:
    return tuple(a + b for a, b in zip(first, second, strict=True)) if first and second else tuple(first or second)
