"""Keras models that an earlier stage saved."""

from pathlib import Path
from typing import Any

import keras

from hemaloop.errors import DataError


def load(path: Path) -> Any:
    """The keras.Model in a .keras file.

    Raises:
        DataError: it is not there, or is broken.
    """
    try:
        return keras.saving.load_model(path, compile=False)
    except (OSError, ValueError) as error:
        raise DataError(f"{path} is missing or broken ({error}): run `dvc repro`, or `dvc pull`") from error
