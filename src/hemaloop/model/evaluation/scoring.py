"""How good answers are, by class and by group. Pure; no TensorFlow."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.metrics import accuracy_score, precision_recall_fscore_support, roc_auc_score

Labels = npt.NDArray[np.intp]
Probabilities = npt.NDArray[np.float32]

LEVEL = 0.95


@dataclass(frozen=True)
class Scores:
    """Figures on test images; macro: the mean over the classes that have test images. None: cannot be known."""

    accuracy: float
    macro_sensitivity: float
    macro_sensitivity_low: float | None  # 95 % interval, by bootstrap over groups; None with a single group
    macro_sensitivity_high: float | None
    macro_precision: float
    macro_f1: float
    macro_auc: float | None  # one against the rest; None with a single class
    images: int
    groups: int
    classes: int  # that have test images
    absent_classes: int  # that have none, and that nothing here speaks of


@dataclass(frozen=True)
class ClassScore:
    """A class's own figures; None where it has no test image."""

    label: str
    images: int
    sensitivity: float | None
    precision: float | None


def score(labels: Labels, probabilities: Probabilities, groups: Sequence[str], rounds: int, seed: int) -> Scores:
    """Judge answers.

    Args:
        labels: (n,) index of the true class, n >= 1.
        probabilities: (n, classes), each in [0, 1]; the largest is the answer.
        groups: of each image; images of a group are not independent, so the interval is over groups.
        rounds: of the bootstrap.

    A class that has test images and was never answered has precision 0, as in scikit-learn's zero_division=0.
    """
    answers = probabilities.argmax(axis=1)
    present = np.unique(labels)
    precision, sensitivity, f1, _ = precision_recall_fscore_support(
        labels, answers, labels=present, average="macro", zero_division=0
    )
    low, high = interval(labels, answers, groups, probabilities.shape[1], rounds, seed)
    return Scores(
        accuracy=float(accuracy_score(labels, answers)),
        macro_sensitivity=float(sensitivity),
        macro_sensitivity_low=low,
        macro_sensitivity_high=high,
        macro_precision=float(precision),
        macro_f1=float(f1),
        macro_auc=macro_auc(labels, probabilities),
        images=len(labels),
        groups=len(set(groups)),
        classes=len(present),
        absent_classes=probabilities.shape[1] - len(present),
    )


def macro_auc(labels: Labels, probabilities: Probabilities) -> float | None:
    """Mean area under the ROC curve of each present class against the others; None if no image is of another."""
    present = np.unique(labels)
    if len(present) < 2:
        return None
    return float(np.mean([roc_auc_score(labels == label, probabilities[:, label]) for label in present]))


def interval(
    labels: Labels, answers: Labels, groups: Sequence[str], classes: int, rounds: int, seed: int
) -> tuple[float | None, float | None]:
    """The 95 % percentile interval of macro sensitivity when whole groups are drawn anew.

    A class that no drawn group holds is left out of that round's mean.

    Source: cluster bootstrap, Field and Welsh 2007, doi:10.1111/j.1467-9868.2007.00593.x.
    """
    names, members = np.unique(np.asarray(groups), return_inverse=True)
    if len(names) < 2:
        return None, None
    images, right = np.zeros((len(names), classes)), np.zeros((len(names), classes))
    np.add.at(images, (members, labels), 1)
    np.add.at(right, (members, labels), labels == answers)
    draws = np.random.default_rng(seed).multinomial(len(names), np.full(len(names), 1 / len(names)), size=rounds)
    drawn = draws @ images
    sensitivity = np.divide(draws @ right, drawn, out=np.full(drawn.shape, np.nan), where=drawn > 0)
    low, high = np.quantile(np.nanmean(sensitivity, axis=1), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def score_classes(labels: Labels, answers: Labels, classes: Sequence[str]) -> tuple[ClassScore, ...]:
    """Each class on its own."""
    precision, sensitivity, _, images = precision_recall_fscore_support(
        labels, answers, labels=np.arange(len(classes)), zero_division=0
    )
    return tuple(
        ClassScore(label, int(count), float(sensitive) if count else None, float(precise) if count else None)
        for label, count, sensitive, precise in zip(classes, images, sensitivity, precision, strict=True)
    )
