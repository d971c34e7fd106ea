"""Has a test image been seen in training? Checked on the images themselves, apart from the rules that keep it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hemaloop.imaging.fingerprint import FINE_BITS, distance, distances, numbers

NEAR_BITS = 6  # of 64; and a quarter of the finer hash, that ingest asks for too: docs/reference/duplicates.md
FINE = FINE_BITS // 4

_ROWS = 256  # test images compared at once


@dataclass(frozen=True)
class Seen:
    """What is compared of an image."""

    sha256: str
    phash: str  # 16 hexadecimal digits
    phash_fine: str  # 48


@dataclass(frozen=True)
class Leakage:
    exact: int  # test images whose very bytes are on another side
    near: int  # that look like an image of another side
    test_images: int
    compared_with: int  # images of the training and validation sides
    pairs: tuple[tuple[str, str], ...]  # SHA-256 of each such test image and of the other: first exact, then near


def find_leakage(test: Sequence[Seen], others: Sequence[Seen]) -> Leakage:
    """Which test images are, or look like, one of `others`."""
    by_bytes = {image.sha256: image for image in others}
    exact = {image.sha256: image.sha256 for image in test if image.sha256 in by_bytes}
    near = {sha256: other for sha256, other in _near(test, others).items() if sha256 not in exact}
    return Leakage(len(exact), len(near), len(test), len(others), (*exact.items(), *near.items()))


def _near(test: Sequence[Seen], others: Sequence[Seen]) -> Mapping[str, str]:
    """The first of `others` that each test image looks like."""
    known = numbers([image.phash for image in others])
    found: dict[str, str] = {}
    for start in range(0, len(test) if len(others) else 0, _ROWS):
        part = test[start : start + _ROWS]
        apart = distances(numbers([image.phash for image in part])[:, np.newaxis], known)
        for row, column in np.argwhere(apart <= NEAR_BITS):
            image, other = part[row], others[column]
            if distance(image.phash_fine, other.phash_fine) <= FINE:
                found.setdefault(image.sha256, other.sha256)
    return found
