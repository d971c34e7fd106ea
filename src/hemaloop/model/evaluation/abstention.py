"""When to leave the answer to a person: a threshold of confidence, and what it costs and saves."""

from dataclasses import dataclass

import numpy as np

from hemaloop.model.evaluation.bootstrap import Figure, figures_with_intervals
from hemaloop.model.evaluation.figures import Answers, Reals, average, ratio

ROWS = 100  # of the curve, at most


@dataclass(frozen=True)
class RiskCoverage:
    """A row of evaluation/risk_coverage.csv: what answering from this confidence upwards gives."""

    threshold: float
    coverage: float  # share of images answered
    risk: float  # share of the answered that are wrong


@dataclass(frozen=True)
class Selected:
    """What a threshold does to a side; the risk is not known where nothing is answered."""

    coverage: Figure
    risk: Figure
    images: int
    answered: int


def risk_coverage(answers: Answers) -> tuple[RiskCoverage, ...]:
    """The whole curve, surest answers first; images of one confidence are answered together.

    Source: El-Yaniv and Wiener 2010, JMLR 11:1605, "On the foundations of noise-free selective classification".
    """
    values, images, wrong = _levels(answers)
    covered, missed = images.cumsum(), wrong.cumsum()
    return tuple(
        RiskCoverage(float(value), float(each / len(answers)), float(errors / each))
        for value, each, errors in zip(values, covered, missed, strict=True)
    )


def area_under_risk_coverage(answers: Answers, rounds: int, seed: int) -> Figure:
    """AURC: the mean, over the images, of the risk among those that are at least as sure.

    Source: Geifman, Uziel, El-Yaniv 2019, arXiv:1805.08206, equation 2.
    """
    _, places = np.unique(-answers.confidence, return_inverse=True)
    order = np.argsort(places, kind="stable")
    starts = np.flatnonzero(np.diff(places[order], prepend=-1))
    wrong = ~answers.right[order, np.newaxis]

    def figures(weights: Reals) -> dict[str, Reals]:
        drawn = weights[order]
        images, missed = np.add.reduceat(drawn, starts), np.add.reduceat(drawn * wrong, starts)
        risks = np.nan_to_num(ratio(missed.cumsum(axis=0), images.cumsum(axis=0)))
        return {"aurc": (images * risks).sum(axis=0) / images.sum(axis=0)}

    return figures_with_intervals(figures, answers.groups, rounds, seed)["aurc"]


def choose_threshold(validation: Answers, risk: float) -> float | None:
    """The lowest confidence from which upwards at most `risk` of the answers are wrong; None: there is none."""
    held = [row.threshold for row in risk_coverage(validation) if row.risk <= risk]
    return held[-1] if held else None


def select(answers: Answers, threshold: float | None, rounds: int, seed: int) -> Selected:
    """Answer from `threshold` upwards; None: never. The intervals take the threshold as given."""
    answered = answers.confidence >= (np.inf if threshold is None else threshold)
    taken, missed = answered.astype(np.float64), (answered & ~answers.right).astype(np.float64)

    def figures(weights: Reals) -> dict[str, Reals]:
        return {"coverage": average(taken, weights), "risk": ratio(missed @ weights, taken @ weights)}

    found = figures_with_intervals(figures, answers.groups, rounds, seed)
    return Selected(found["coverage"], found["risk"], len(answers), int(answered.sum()))


def thinned(curve: tuple[RiskCoverage, ...]) -> tuple[RiskCoverage, ...]:
    """At most `ROWS` of it, evenly spread, with both ends."""
    places = np.unique(np.linspace(0, len(curve) - 1, min(ROWS, len(curve))).round().astype(int))
    return tuple(curve[place] for place in places)


def _levels(answers: Answers) -> tuple[Reals, Reals, Reals]:
    """Confidences that occur, highest first; how many images have each; how many of those are wrong."""
    values, places, images = np.unique(-answers.confidence, return_inverse=True, return_counts=True)
    wrong = np.bincount(places, ~answers.right, len(values))
    return -values.astype(np.float64), images.astype(np.float64), np.asarray(wrong, np.float64)
