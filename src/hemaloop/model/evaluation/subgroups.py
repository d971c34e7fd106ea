"""The same figures for the images of each device, stain and site: a mean can hide whom a model fails."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hemaloop.errors import ConfigError
from hemaloop.model.evaluation.figures import Answers
from hemaloop.model.evaluation.scoring import score

NOT_KNOWN = ""  # the name of images whose device or stain nobody told


@dataclass(frozen=True)
class Subgroup:
    """A row of evaluation/subgroups.csv; None: cannot be known, an interval of a single group among them."""

    kind: str  # device, stain or site
    name: str
    images: int
    groups: int
    classes: int  # that have images in it; macro_sensitivity speaks of these alone
    accuracy: float | None
    accuracy_low: float | None
    accuracy_high: float | None
    macro_sensitivity: float | None
    macro_sensitivity_low: float | None
    macro_sensitivity_high: float | None


def split(
    answers: Answers, kinds: Mapping[str, Sequence[str]], classes: Sequence[str], rounds: int, seed: int
) -> tuple[Subgroup, ...]:
    """Every subgroup, kinds in their order, names in the alphabet's.

    Args:
        kinds: of each kind the name of each image's subgroup, "" where not known.
    """
    found = []
    for kind, names in kinds.items():
        for name in sorted(set(names)):
            here = answers.take(np.array([each == name for each in names]))
            found.append(_subgroup(kind, name, here, classes, rounds, seed))
    return tuple(found)


def read_sites(found: Any) -> dict[str, str]:
    """Section `sites` of params.yaml: where each device stands; a device that it does not name stands nowhere known.

    Raises:
        ConfigError: it is no mapping of names to names.
    """
    if not isinstance(found, dict) or not all(
        isinstance(name, str) and name for pair in found.items() for name in pair
    ):
        raise ConfigError(f"params.yaml: sites: wanted the site of each device, as {{pi-3: clinic-7}}, got {found!r}")
    return dict(found)


def worst(subgroups: Sequence[Subgroup], fewest: int) -> Subgroup | None:
    """That of the lowest macro sensitivity among those with `fewest` images or more; None: there is none."""
    large = [each for each in subgroups if each.images >= fewest and each.macro_sensitivity is not None]
    return min(large, key=lambda each: (each.macro_sensitivity, each.kind, each.name), default=None)


def _subgroup(kind: str, name: str, answers: Answers, classes: Sequence[str], rounds: int, seed: int) -> Subgroup:
    scores = score(answers, classes, rounds, seed)
    accuracy, sensitivity = scores.figures["accuracy"], scores.macro_sensitivity
    return Subgroup(
        kind, name, scores.images, scores.groups, scores.classes,
        accuracy.value, accuracy.low, accuracy.high,
        sensitivity.value, sensitivity.low, sensitivity.high,
    )  # fmt: skip
