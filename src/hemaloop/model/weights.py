"""Weights to start from: ImageNet's, a file's, or none."""

import os
from pathlib import Path
from typing import Any

import keras

from hemaloop.errors import ConfigError
from hemaloop.model.parameters import IMAGENET

# Keras publishes a file for each of five input sizes. Convolutions do not depend on the size: always naming this one
# gives every size, and every machine, the same start.
PUBLISHED_PX = 224


def pretrained(source: str, alpha: float) -> dict[str, list[Any]]:
    """Weights of MobileNetV2's layers by their names, as `mobilenetv2.set_weights` takes them.

    Args:
        source: "imagenet" (found in KERAS_HOME, else downloaded by Keras) or the path of an .h5 file without top.

    Raises:
        ConfigError: they are not there, cannot be downloaded, or do not fit `alpha`.
    """
    chosen = _find(alpha) if source == IMAGENET else _given(Path(source))
    shape = (PUBLISHED_PX, PUBLISHED_PX, 3)
    try:
        model = keras.applications.MobileNetV2(shape, alpha, include_top=False, weights=chosen)
    except (ValueError, OSError) as error:
        raise ConfigError(f"train.weights {source!r} do not fit MobileNetV2 of alpha {alpha}: {error}") from error
    except Exception as error:  # Keras raises a bare Exception where a download fails
        raise ConfigError(
            f"train.weights: {IMAGENET} cannot be downloaded ({error}): put {_name(alpha)} into the folder "
            f"models/ of KERAS_HOME ({_keras_home()}), or set train.weights to a path, or to 'random'"
        ) from error
    return {layer.name: layer.get_weights() for layer in model.layers if layer.weights}


def _find(alpha: float) -> str:
    """The file in Keras's folder, also where that folder cannot be written to; else the word for a download."""
    path = _keras_home() / "models" / _name(alpha)
    return str(path) if path.exists() else IMAGENET


def _given(path: Path) -> str:
    if not path.is_file():
        raise ConfigError(f"train.weights: there is no file {path}: name one, or use '{IMAGENET}' or 'random'")
    return str(path)


def _name(alpha: float) -> str:
    return f"mobilenet_v2_weights_tf_dim_ordering_tf_kernels_{alpha}_{PUBLISHED_PX}_no_top.h5"


def _keras_home() -> Path:
    """Where Keras keeps what it downloads; it has no public function for it."""
    return Path(os.environ.get("KERAS_HOME", "~/.keras")).expanduser()
