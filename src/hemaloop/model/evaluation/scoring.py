"""How good answers are, overall and by class, each figure with its interval. Pure; no TensorFlow."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hemaloop.model.evaluation.bootstrap import (
    Figure,
    calibration_figure_of,
    draw,
    figure_of,
    figures_with_intervals,
)
from hemaloop.model.evaluation.figures import (
    BY_CLASS,
    OVERALL,
    Answers,
    Reals,
    by_class,
    chance_calibration_errors,
    counted,
    macro,
    overall,
)

CHANCES = 200  # draws of the calibration error that chance alone would show


@dataclass(frozen=True)
class ClassScore:
    """A class against the others; all figures None where it has no test image."""

    label: str
    images: int
    figures: Mapping[str, Figure]  # of `figures.BY_CLASS`


@dataclass(frozen=True)
class Scores:
    """Figures on test images; macro: the mean over the classes that have test images."""

    figures: Mapping[str, Figure]  # of `figures.OVERALL`
    by_class: tuple[ClassScore, ...]
    images: int
    groups: int

    @property
    def classes(self) -> int:
        """That have test images."""
        return sum(score.images > 0 for score in self.by_class)

    @property
    def absent_classes(self) -> int:
        """That have none, and that nothing here speaks of."""
        return len(self.by_class) - self.classes

    @property
    def macro_sensitivity(self) -> Figure:
        return self.figures["macro_sensitivity"]


def score(answers: Answers, classes: Sequence[str], rounds: int, seed: int) -> Scores:
    """Judge answers to one image or more; intervals are over groups, by `rounds` draws."""
    found = {name: value[0] for name, value in _all(answers, np.ones((len(answers), 1))).items()}
    groups = len(set(answers.groups))
    drawn = draw(lambda weights: _all(answers, weights), answers.groups, rounds, seed) if groups > 1 else None
    figures = {name: _figure(name, found, drawn) for name in OVERALL}
    by_chance = chance_calibration_errors(answers, CHANCES, seed)
    figures["ece"] = calibration_figure_of(float(found["ece"]), None if drawn is None else drawn["ece"], by_chance)
    return Scores(
        figures=figures,
        by_class=tuple(
            ClassScore(
                label,
                int((answers.labels == place).sum()),
                _of_class(place, found, drawn if len(answers.groups_of(place)) > 1 else None),
            )
            for place, label in enumerate(classes)
        ),
        images=len(answers),
        groups=groups,
    )


def macro_sensitivity(answers: Answers, rounds: int, seed: int) -> Figure:
    """The one figure alone, for the many tables that ask for no other: as `score` has it, to the digit."""

    def figures(weights: Reals) -> dict[str, Reals]:
        return {"macro": macro(answers, counted(answers, weights)["sensitivity"])}

    return figures_with_intervals(figures, answers.groups, rounds, seed)["macro"]


def flat(figures: Mapping[str, Figure]) -> dict[str, float | None]:
    """`name`, `name_low` and `name_high` of each, as metrics and tables have them."""
    return {
        f"{name}{end}": value
        for name, figure in figures.items()
        for end, value in (("", figure.value), ("_low", figure.low), ("_high", figure.high))
    }


def _all(answers: Answers, weights: Reals) -> dict[str, Reals]:
    """Overall figures by their names, those of the classes by `_column`."""
    classes = by_class(answers, weights)
    columns = {
        _column(name, place): values[:, place] for name, values in classes.items() for place in range(answers.classes)
    }
    return columns | overall(answers, weights, classes)


def _of_class(place: int, found: Mapping[str, Reals], drawn: Mapping[str, Reals] | None) -> dict[str, Figure]:
    return {name: _figure(_column(name, place), found, drawn) for name in BY_CLASS}


def _column(name: str, place: int) -> str:
    return f"{place}:{name}"


def _figure(name: str, found: Mapping[str, Reals], drawn: Mapping[str, Reals] | None) -> Figure:
    return figure_of(float(found[name]), None if drawn is None else drawn[name])
