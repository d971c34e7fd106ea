"""What a test image is put through before the shipped file is asked again. Nothing here was trained on."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from hemaloop.imaging import degradations
from hemaloop.imaging.decode import Image
from hemaloop.imaging.laboratories import HELD_OUT, Laboratory, shift

CLEAN, GREY, RESTAINED, SHUFFLED, LABORATORY = "clean", "grey", "restained", "shuffled", "laboratory"


@dataclass(frozen=True)
class Condition:
    """`change` makes one image of another; `name` tells conditions of one kind apart: a strength, a laboratory."""

    kind: str
    name: str
    change: Callable[[Image, np.random.Generator], Image]
    scale: float = 1.0  # size of cells in pixels against that in the image


def all_conditions() -> tuple[Condition, ...]:
    """The clean image first."""
    return (
        Condition(CLEAN, "", lambda image, rng: image),
        Condition(GREY, "", lambda image, rng: degradations.grey(image)),
        Condition(RESTAINED, "", degradations.restain),
        Condition(SHUFFLED, "", degradations.shuffle),
        *(
            Condition(kind, str(strength), partial(_degrade, kind, strength))
            for kind in degradations.DEGRADATIONS
            for strength in degradations.STRENGTHS
        ),
        *(Condition(LABORATORY, name, partial(_shift, each), each.scale) for name, each in HELD_OUT.items()),
    )


def _degrade(kind: str, strength: int, image: Image, rng: np.random.Generator) -> Image:
    return degradations.degrade(image, kind, strength, rng)


def _shift(laboratory: Laboratory, image: Image, rng: np.random.Generator) -> Image:
    return shift(image, laboratory, rng)
