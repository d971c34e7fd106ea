"""EfficientNetB0, with which S3 compares MobileNetV2."""

import re
from typing import Any

import keras
import numpy as np
from keras import layers

from hemaloop.model.networks.ends import pooled, scale_and_offset
from hemaloop.model.prepared import Statistics

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of levels divided by 255
BLOCKS = ("1a", "2a", "2b", "3a", "3b", "4a", "4b", "4c", "5a", "5b", "5c", "6a", "6b", "6c", "6d", "7a")


def body(pixels: Any, statistics: Statistics, dense_units: int) -> Any:
    """Keras's own layers from levels 0 to 255 on, then the mean over places.

    The published network divides by 255 and normalises by itself. No second scaling stands before it: its own
    normalisation is set to the scaling that is asked for; with ImageNet weights it is ImageNet's, as published.

    Source: Tan and Le 2019, "EfficientNet", arXiv:1905.11946.
    """
    published = keras.applications.EfficientNetB0(include_top=False, weights=None, input_tensor=pixels)
    scales, offsets = scale_and_offset(statistics)
    # (x / 255 - mean) / std = x * scale + offset
    stds = [1 / (255 * scale) for scale in scales]
    normalise(published, [-offset * std for offset, std in zip(offsets, stds, strict=True)], stds)
    return pooled(published.output, dense_units)


def normalise(model: Any, mean: Any, std: Any) -> None:
    """Set the normalisation that the network begins with.

    Keras's ImageNet file holds the deviation where the layer wants the variance, and Keras mends that with a layer that
    only models from weights="imagenet" have: setting both here gives the same function from any file.
    """
    (layer,) = (layer for layer in model.layers if isinstance(layer, layers.Normalization))
    layer.set_weights([np.asarray(mean, np.float32), np.square(np.asarray(std, np.float32)), *layer.get_weights()[2:]])
    layer.finalize_state()


def block_of(layer: str) -> int:
    """0 the stem, 1 to 16 the blocks, 17 what follows."""
    found = re.match(r"block(\d[a-z])_", layer)
    if found:
        return BLOCKS.index(found[1]) + 1
    return 0 if layer.startswith(("stem_", "rescaling", "normalization")) else len(BLOCKS) + 1
