"""Every figure of a classifier, over weighted images and many weightings at once.

A column of `weights` is one draw of the bootstrap: how often it holds each image. A column of ones gives the figure
itself, which tests compare with scikit-learn's; scikit-learn takes one weighting at a time, and a thousand would take
minutes. NaN is what cannot be known: a class that no drawn image is of.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Labels = npt.NDArray[np.intp]
Probabilities = npt.NDArray[np.float32]
Reals = npt.NDArray[np.float64]

BINS = 15  # of the calibration error
SPECIFICITY = 0.95  # at which a sensitivity is given
COUNTED = ("sensitivity", "specificity", "precision", "f1")
RANKED = ("auc", "sensitivity_at_95_specificity")
BY_CLASS = COUNTED + RANKED
OVERALL = ("accuracy", *(f"macro_{name}" for name in (*COUNTED, "auc")), "ece", "brier", RANKED[1])


@dataclass(frozen=True)
class Answers:
    """What a model said to n images, and what they are."""

    labels: Labels  # (n,) index of the true class
    probabilities: Probabilities  # (n, classes) in [0, 1]; the largest is the answer
    groups: tuple[str, ...]  # n; images of one group are no independent evidence

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def classes(self) -> int:
        return int(self.probabilities.shape[1])

    @property
    def answered(self) -> Labels:
        return np.asarray(self.probabilities.argmax(axis=1))

    @property
    def right(self) -> npt.NDArray[np.bool_]:
        return np.asarray(self.answered == self.labels)

    @property
    def confidence(self) -> Probabilities:
        """(n,) the probability of the answer."""
        return np.asarray(self.probabilities.max(axis=1))

    def groups_of(self, place: int) -> set[str]:
        """Groups with an image of a class; where there is one, drawing it again gives no interval."""
        return {group for group, label in zip(self.groups, self.labels, strict=True) if label == place}

    def take(self, chosen: npt.NDArray[np.bool_]) -> "Answers":
        """Those where `chosen`, (n,), is true."""
        groups = tuple(group for group, here in zip(self.groups, chosen, strict=True) if here)
        return Answers(self.labels[chosen], self.probabilities[chosen], groups)


def by_class(answers: Answers, weights: Reals) -> dict[str, Reals]:
    """Each class against the others: (rounds, classes) of each name in `BY_CLASS`; `weights` (n, rounds)."""
    curves = [_ranked(answers.labels == label, answers.probabilities[:, label], weights) for label in _classes(answers)]
    ranked = {name: np.stack([curve[place] for curve in curves], axis=1) for place, name in enumerate(RANKED)}
    return counted(answers, weights) | ranked


def overall(answers: Answers, weights: Reals, classes: Mapping[str, Reals]) -> dict[str, Reals]:
    """All classes together: (rounds,) of each name in `OVERALL`.

    Args:
        classes: what `by_class` gave for the same answers and weights. Macro is the mean over the classes that have
            images; so is the sensitivity at 95 % specificity.
    """
    means = {name: macro(answers, values) for name, values in classes.items()}
    averages = {f"macro_{name}": means[name] for name in (*COUNTED, "auc")}
    return {
        "accuracy": average(answers.right.astype(np.float64), weights),
        **averages,
        "ece": calibration_error(answers, weights),
        "brier": average(squared_errors(answers), weights),
        RANKED[1]: means[RANKED[1]],
    }


def counted(answers: Answers, weights: Reals) -> dict[str, Reals]:
    """(rounds, classes) of each name in `COUNTED`. A class that was never answered has precision 0."""
    table = confusion(answers, weights)
    support, answered, right = table.sum(axis=2), table.sum(axis=1), np.diagonal(table, axis1=1, axis2=2)
    others = support.sum(axis=1, keepdims=True) - support
    known = np.where(support > 0, 0.0, np.nan)
    return {
        "sensitivity": ratio(right, support),
        "specificity": ratio(others - answered + right, others) + known,
        "precision": np.nan_to_num(ratio(right, answered)) + known,
        "f1": ratio(2 * right, support + answered) + known,
    }


def confusion(answers: Answers, weights: Reals) -> Reals:
    """(rounds, classes, classes): images of the first class that were answered as the second."""
    cells = np.zeros((len(answers), answers.classes**2))
    cells[np.arange(len(answers)), answers.labels * answers.classes + answers.answered] = 1
    return np.asarray((weights.T @ cells).reshape(-1, answers.classes, answers.classes))


def squared_errors(answers: Answers) -> Reals:
    """(n,) summed over the classes, 0 to 2: their mean is the Brier score.

    Source: Brier 1950, Monthly Weather Review 78:1.
    """
    truth = np.eye(answers.classes)[answers.labels]
    return np.asarray(((answers.probabilities - truth) ** 2).sum(axis=1))


def calibration_error(answers: Answers, weights: Reals) -> Reals:
    """(rounds,): the top-label expected calibration error over 15 bins that hold equally many images.

    Images of one confidence are never torn apart (a uint8 file knows 256): such a run is in the bin of its middle.

    Source: Naeini, Cooper, Hauskrecht 2015, AAAI, "Obtaining well calibrated probabilities using Bayesian binning";
    equal-mass bins: Nixon et al. 2019, arXiv:1904.01685.
    """
    return _error_of(answers.confidence, answers.right[:, np.newaxis], weights)


def chance_calibration_errors(answers: Answers, rounds: int, seed: int) -> Reals:
    """(rounds,): the errors that as many images would show if every confidence were exactly right.

    An estimate in bins is never below 0, so chance alone raises it: the fewer the images, the more. Source: the
    consistency resampling of Broecker and Smith 2007, doi:10.1175/WAF993.1.
    """
    drawn = answers.confidence[:, np.newaxis] > np.random.default_rng(seed).random((rounds, len(answers))).T
    return _error_of(answers.confidence, drawn, np.ones(drawn.shape))


def bins_of(mass: Reals) -> Labels:
    """Which of the `BINS` the middle of each run is in; runs in order of confidence, `mass` (runs, rounds)."""
    middle = (mass.cumsum(axis=0) - mass / 2) / mass.sum(axis=0)
    return np.asarray(np.minimum((middle * BINS).astype(np.intp), BINS - 1))


def macro(answers: Answers, values: Reals) -> Reals:
    """(rounds,): mean of `values` (rounds, classes) over the classes that have images.

    NaN in a round that did not draw each of them: the mean over others would be another figure, and a class of few
    groups that does badly would count as if it were not there.
    """
    present = np.bincount(answers.labels, minlength=answers.classes) > 0
    return np.asarray(values[:, present].mean(axis=1))


def area_under_roc(positive: npt.NDArray[np.bool_], scores: Reals, weights: Reals) -> Reals:
    """(rounds,): how well `scores` (n,) tell the positive from the others; NaN where one of the two was not drawn."""
    return _ranked(positive, scores, weights)[0]


def average(values: Reals, weights: Reals) -> Reals:
    """(rounds,): the mean of `values` (n,); NaN where nothing was drawn."""
    return ratio(values @ weights, weights.sum(axis=0))


def _error_of(confidence: Probabilities, right: npt.NDArray[np.bool_], weights: Reals) -> Reals:
    """`calibration_error` of confidences (n,) that were right or not in each round, (n, rounds) or (n, 1)."""
    starts, order = runs(confidence)
    gaps: Reals = (right - confidence.astype(np.float64)[:, np.newaxis])[order]
    mass = np.add.reduceat(weights[order], starts)
    gap = np.add.reduceat(weights[order] * gaps, starts)
    places = bins_of(mass) * weights.shape[1] + np.arange(weights.shape[1])
    sums = np.bincount(places.ravel(), gap.ravel(), BINS * weights.shape[1]).reshape(BINS, -1)
    return np.asarray(np.abs(sums).sum(axis=0) / mass.sum(axis=0))


def runs(values: Probabilities | Reals) -> tuple[Labels, Labels]:
    """Where each run of equal values begins when sorted, and the order that sorts them."""
    order = np.argsort(values, kind="stable")
    changes = np.flatnonzero(np.diff(values[order])) + 1
    return np.concatenate(([0], changes)).astype(np.intp), order


def _ranked(positive: npt.NDArray[np.bool_], scores: Probabilities | Reals, weights: Reals) -> tuple[Reals, Reals]:
    """(rounds,) area under the ROC curve, by the trapezoids; and the largest sensitivity at 95 % specificity or more.

    Images of equal score are let in together: no threshold tells them apart, nor does anything between two thresholds
    exist on a device, so nothing is interpolated.
    """
    starts, order = runs(-scores)
    drawn, is_positive = weights[order], positive[order, np.newaxis]
    hits = np.add.reduceat(drawn * is_positive, starts).cumsum(axis=0)
    alarms = np.add.reduceat(drawn * ~is_positive, starts).cumsum(axis=0)
    first = np.zeros((1, weights.shape[1]))
    steps, heights = np.diff(alarms, axis=0, prepend=first), hits - np.diff(hits, axis=0, prepend=first) / 2
    allowed = alarms <= (1 - SPECIFICITY) * alarms[-1] + 1e-9
    found = np.where(allowed, hits, 0.0).max(axis=0)
    auc = ratio((steps * heights).sum(axis=0), alarms[-1] * hits[-1])
    return auc, np.where(alarms[-1] > 0, ratio(found, hits[-1]), np.nan)


def _classes(answers: Answers) -> range:
    return range(answers.classes)


def ratio(part: Reals, whole: Reals) -> Reals:
    return np.asarray(np.divide(part, whole, out=np.full(np.shape(whole), np.nan), where=whole > 0))
