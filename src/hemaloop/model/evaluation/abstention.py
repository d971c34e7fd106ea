"""When to leave the answer to a person: a threshold of confidence, and what it costs and saves."""

from dataclasses import dataclass

import numpy as np

from hemaloop.model.evaluation.bootstrap import Figure, figures_with_intervals
from hemaloop.model.evaluation.figures import Answers, Reals, average, ratio, runs

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
    starts, order = runs(-answers.confidence)
    covered, missed = _answered_and_wrong(answers, np.ones((len(answers), 1)))
    return tuple(
        RiskCoverage(float(value), float(each / len(answers)), float(errors / each))
        for value, each, errors in zip(answers.confidence[order[starts]], covered[:, 0], missed[:, 0], strict=True)
    )


def area_under_risk_coverage(answers: Answers, rounds: int, seed: int) -> Figure:
    """AURC: the mean, over the images, of the risk among those that are at least as sure.

    Source: Geifman, Uziel, El-Yaniv 2019, arXiv:1805.08206, equation 2.
    """

    def figures(weights: Reals) -> dict[str, Reals]:
        covered, missed = _answered_and_wrong(answers, weights)
        images = np.diff(covered, axis=0, prepend=0)
        return {"aurc": (images * np.nan_to_num(ratio(missed, covered))).sum(axis=0) / covered[-1]}

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


def _answered_and_wrong(answers: Answers, weights: Reals) -> tuple[Reals, Reals]:
    """(confidences, rounds): images at least as sure as each confidence that occurs, highest first; those wrong."""
    starts, order = runs(-answers.confidence)
    drawn = weights[order]
    missed = drawn * ~answers.right[order, np.newaxis]
    return np.add.reduceat(drawn, starts).cumsum(axis=0), np.add.reduceat(missed, starts).cumsum(axis=0)
