"""Vary training images as smears vary: no way is up, and scale, stain, lens and camera differ between laboratories."""

import dataclasses
import math
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hemaloop.config import check
from hemaloop.imaging.laboratories import (
    TRAINING,
    Image,
    Laboratories,
    changes_nothing,
    draw,
    magnify,
    photograph,
    weaken,
)

Images = npt.NDArray[np.float32]


@dataclass(frozen=True)
class AugmentParams:
    """Each image is turned and mirrored; a share of them is seen through a simulated laboratory, the rest as told."""

    turn_degrees: float = 180.0  # at most, either way; what lies outside is mirrored in
    mirror: bool = True
    elsewhere: float = 0.8  # share of images that are seen through a laboratory drawn from imaging.laboratories
    strength: float = 1.0  # of how those differ: 1 is laboratories.TRAINING, 0 not at all
    grey: float = 0.1  # share of those that show no colour
    zoom: float = 0.0  # of the other images: share larger or smaller, at most
    brightness: float = 0.0  # likewise
    contrast: float = 0.0  # likewise
    noise: float = 0.0  # likewise, standard deviation in levels

    def __post_init__(self) -> None:
        check(0 <= self.turn_degrees <= 180, f"turn_degrees: wanted 0 to 180, got {self.turn_degrees}")
        for name in ("elsewhere", "grey"):
            check(0 <= getattr(self, name) <= 1, f"{name}: wanted 0 to 1, got {getattr(self, name)}")
        check(0 <= self.strength <= 2, f"strength: wanted 0 to 2, got {self.strength}")
        for name in ("zoom", "brightness", "contrast"):
            check(0 <= getattr(self, name) < 1, f"{name}: wanted 0 up to 1, got {getattr(self, name)}")
        check(0 <= self.noise <= 64, f"noise: wanted 0 to 64, got {self.noise}")


def augment(pixels: npt.NDArray[np.uint8], rng: np.random.Generator, params: AugmentParams = AugmentParams()) -> Images:
    """Each image as it might have been taken elsewhere.

    Args:
        pixels: (N, S, S, 3) uint8 RGB.
        rng: gives each image a seed, so that neither threads nor other images change what becomes of it.

    Returns:
        (N, S, S, 3) float32, whole levels in [0, 255].
    """
    seeds = rng.integers(2**63, size=len(pixels))
    here, elsewhere = _here(params), dataclasses.replace(weaken(TRAINING, params.strength), grey=params.grey)
    varied = np.empty(pixels.shape, np.float32)

    def vary(index: int) -> None:
        varied[index] = _vary(pixels[index], np.random.default_rng(seeds[index]), params, here, elsewhere)

    # OpenCV and NumPy let go of the interpreter's lock.
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        list(threads.map(vary, range(len(pixels))))
    return varied


def _here(params: AugmentParams) -> Laboratories:
    """What the images that stay in their own laboratory differ in."""
    return Laboratories(
        scale=(1 / (1 + params.zoom), 1 + params.zoom),
        light=(1 - params.brightness, 1 + params.brightness),
        contrast=(1 - params.contrast, 1 + params.contrast),
        noise=(0.0, params.noise),
        blurred=1.0,
    )


def _vary(
    image: Image, rng: np.random.Generator, params: AugmentParams, here: Laboratories, elsewhere: Laboratories
) -> Image:
    laboratory = draw(elsewhere if rng.random() < params.elsewhere else here, rng)
    turn = math.radians(rng.uniform(-params.turn_degrees, params.turn_degrees))
    mirrored = params.mirror and bool(rng.integers(2))
    moved = magnify(image, laboratory.scale, turn, mirrored)
    seen = dataclasses.replace(laboratory, scale=1.0)
    return moved if changes_nothing(seen) else photograph(moved, seen, rng)
