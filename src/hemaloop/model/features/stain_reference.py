"""The references of the stain steps, learned from images whose stain is good."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from hemaloop.errors import DataError
from hemaloop.imaging.decode import Image, decode
from hemaloop.inference.preprocess import StepSettings
from hemaloop.inference.steps.catalogue import make_step
from hemaloop.inference.steps.picture import Picture, to_lab
from hemaloop.inference.steps.stains import Macenko, WhiteBalance

_MACENKO = tuple(f"{stain}_{what}" for stain in ("nuclear", "eosin") for what in ("red", "green", "blue", "amount"))
_COLOURS = tuple(name for name in _MACENKO if not name.endswith("_amount"))
_REINHARD = ("l_mean", "a_mean", "b_mean", "l_std", "a_std", "b_std")


def learn_references(paths: Sequence[Path]) -> tuple[StepSettings, ...]:
    """`reinhard` and `macenko` with the median over images, each white-balanced first; params.yaml takes them as told.

    Raises:
        DataError: an image cannot be read, none shows two stains, or the steps would refuse what they show.
    """
    reinhard, macenko = [], []
    for path in paths:
        balanced = WhiteBalance().apply(Picture(_read(path)), 1).pixels
        reinhard.append(np.ravel(cv2.meanStdDev(to_lab(balanced))))
        found = Macenko().learn(balanced)
        if found is not None:
            macenko.append(np.ravel(np.vstack(found).T))
    if not macenko:
        raise DataError(f"none of {len(paths)} images shows two stains: give images of stained cells")
    learned = (
        StepSettings("reinhard", _settings(_REINHARD, reinhard)),
        StepSettings("macenko", _dyes(_settings(_MACENKO, macenko))),
    )
    for step in learned:
        _check(step)
    return learned


def _dyes(found: dict[str, float]) -> dict[str, float]:
    """Without the little less than nothing that a dye may seem to absorb where the glass has not quite one grey."""
    return found | {name: min(max(found[name], 0.0), 1.0) for name in _COLOURS}


def _check(step: StepSettings) -> None:
    try:
        make_step(step.name, step.settings)
    except DataError as error:
        raise DataError(f"{error}: these images are no reference, give others") from error


def _settings(names: Sequence[str], rows: Sequence[np.ndarray]) -> dict[str, float]:
    return {name: round(float(value), 3) for name, value in zip(names, np.median(rows, axis=0), strict=True)}


def _read(path: Path) -> Image:
    try:
        return decode(path.read_bytes())
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
