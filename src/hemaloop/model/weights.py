"""Weights to start from: ImageNet's, a file's, or none."""

import hashlib
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras

from hemaloop.errors import ConfigError
from hemaloop.model.networks import efficientnetb0
from hemaloop.model.networks.mobilenetv2 import set_weights
from hemaloop.model.parameters import EFFICIENTNETB0, IMAGENET, MOBILENETV2, RANDOM, TrainParams

log = logging.getLogger(__name__)

# Keras publishes a file for each of five input sizes. Convolutions do not depend on the size: always naming this one
# gives every size, and every machine, the same start.
PUBLISHED_PX = 224
PLACE = "HEMALOOP_WEIGHTS"  # environment: a folder of weights, or a file


def give_pretrained(model: Any, params: TrainParams) -> None:
    """Set the weights of a model's backbone, as `catalogue.build` made it, to those that `params` name.

    Raises:
        ConfigError: see `pretrained`.
    """
    weights = pretrained(params.weights, params.alpha, params.network)
    if params.network == EFFICIENTNETB0:
        # Keras numbers this layer's name, and its file means another thing by its variance: see `normalise`.
        (own,) = (layer.name for layer in model.layers if isinstance(layer, keras.layers.Normalization))
        weights[own] = model.get_layer(own).get_weights()
    set_weights(model, weights)
    if params.network == EFFICIENTNETB0:
        efficientnetb0.normalise(model, efficientnetb0.IMAGENET_MEAN, efficientnetb0.IMAGENET_STD)


def pretrained(source: str, alpha: float, network: str = MOBILENETV2) -> dict[str, list[Any]]:
    """Weights of a backbone's layers by their names, as `mobilenetv2.set_weights` takes them.

    Args:
        source: "imagenet" (found by `find`, else downloaded by Keras) or the path of an .h5 file without top.

    Raises:
        ConfigError: they are not there, cannot be downloaded, or do not fit the network.
    """
    found = find(source, alpha, network)
    shape, name = (PUBLISHED_PX, PUBLISHED_PX, 3), file_name(network, alpha)
    try:
        model = _published(network, alpha, shape, IMAGENET if found is None else str(found))
    except (ValueError, OSError) as error:
        raise ConfigError(f"train.weights {str(found)!r} do not fit {_told(network, alpha)}: {error}") from error
    except Exception as error:  # Keras raises a bare Exception where a download fails
        raise ConfigError(
            f"train.weights: {IMAGENET} cannot be downloaded ({error}): put {name} into the folder {PLACE}, or into "
            f"models/ of KERAS_HOME ({_keras_home(os.environ)}), or set train.weights to a path, or to '{RANDOM}'"
        ) from error
    if found is not None and found.name != name:
        log.info("weights of %s: not the file that Keras publishes for %s", found.name, _told(network, alpha))
    return {layer.name: layer.get_weights() for layer in model.layers if layer.weights}


def find(source: str, alpha: float, network: str, environ: Mapping[str, str] = os.environ) -> Path | None:
    """The file that training starts from: a path as it is given; ImageNet's from HEMALOOP_WEIGHTS, else KERAS_HOME.

    HEMALOOP_WEIGHTS names a file, or a folder that holds it under the name that Keras gives it (also in `models/`,
    so that a KERAS_HOME can be named too).

    Returns:
        None where Keras must download it.

    Raises:
        ConfigError: a path that is named is not there.
    """
    if source != IMAGENET:
        return _given(Path(source))
    named, name = environ.get(PLACE, ""), file_name(network, alpha)
    place = Path(named).expanduser() if named else None
    if place and place.is_file():
        return place
    if place and not place.is_dir():
        raise ConfigError(f"{PLACE}: there is no file or folder {place}")
    folders = ([place, place / "models"] if place else []) + [_keras_home(environ) / "models"]
    return next((folder / name for folder in folders if (folder / name).is_file()), None)


def describe(params: TrainParams) -> dict[str, str]:
    """Name and SHA-256 of the file that training started from, for the record; "random" where there was none."""
    if params.weights == RANDOM:
        return {"weights": RANDOM}
    path = find(params.weights, params.alpha, params.network)
    if path is None:
        return {"weights": file_name(params.network, params.alpha)}
    return {"weights": path.name, "weights_sha256": hashlib.sha256(path.read_bytes()).hexdigest()}


def file_name(network: str, alpha: float) -> str:
    """The name under which Keras publishes a network's ImageNet weights without its last layer."""
    if network == MOBILENETV2:
        return f"mobilenet_v2_weights_tf_dim_ordering_tf_kernels_{alpha}_{PUBLISHED_PX}_no_top.h5"
    return "efficientnetb0_notop.h5" if network == EFFICIENTNETB0 else "nasnet_mobile_no_top.h5"


def _published(network: str, alpha: float, shape: tuple[int, int, int], weights: str) -> Any:
    if network == MOBILENETV2:
        return keras.applications.MobileNetV2(shape, alpha, include_top=False, weights=weights)
    applications = {EFFICIENTNETB0: keras.applications.EfficientNetB0}
    make = applications.get(network, keras.applications.NASNetMobile)
    return make(include_top=False, weights=weights, input_shape=shape)


def _told(network: str, alpha: float) -> str:
    return f"MobileNetV2 of alpha {alpha}" if network == MOBILENETV2 else network


def _given(path: Path) -> Path:
    if not path.is_file():
        raise ConfigError(f"train.weights: there is no file {path}: name one, or use '{IMAGENET}' or '{RANDOM}'")
    return path


def _keras_home(environ: Mapping[str, str]) -> Path:
    """Where Keras keeps what it downloads; it has no public function for it."""
    return Path(environ.get("KERAS_HOME", "~/.keras")).expanduser()
