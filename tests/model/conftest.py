"""TensorFlow once a session, and images that a tiny network can tell apart."""

import sys
import warnings

import numpy as np
import pytest

from hemaloop.model.prepared import PreparedImage, Samples
from hemaloop.model.runtime import start_tensorflow

CLASSES = ("reddish", "greenish", "bluish")
SIZE_PX = 32


@pytest.fixture(scope="session")
def tensorflow() -> None:
    """Seeded and deterministic; what it warns about at import is not ours to mend."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        start_tensorflow(seed=7)
        from absl import logging

        # It holds pytest's own file, and closes it when another test's import (Prefect's) sets up logging anew.
        logging.get_absl_handler().python_handler.stream = sys.__stderr__


def some_samples(images: int, seed: int) -> Samples:
    """`images` of each class: noise with one channel brighter."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(CLASSES)), images)
    pixels = rng.integers(0, 120, (len(labels), SIZE_PX, SIZE_PX, 3))
    pixels[np.arange(len(labels)), :, :, labels] += 100
    rows = np.arange(len(labels))
    described = tuple(
        PreparedImage(f"{row:064x}", CLASSES[labels[row]], f"g{row}", "train", "pi-1", "") for row in rows
    )
    return Samples(pixels.astype(np.uint8), rows, labels, described, len(CLASSES))


@pytest.fixture(scope="session")
def training() -> Samples:
    return some_samples(images=8, seed=1)


@pytest.fixture(scope="session")
def validation() -> Samples:
    return some_samples(images=4, seed=2)
