"""What every network begins and ends with."""

from typing import Any

from keras import layers

from hemaloop.model.prepared import MINUS_ONE_ONE, ZERO_ONE, Statistics

PIXELS, SCALED, FEATURES, PROBABILITIES = "pixels", "scaling", "features", "probabilities"  # names of layers
POOLED = "pooled"  # the pooled features, where a dense layer stands between them and the last one
CENTRED = Statistics(MINUS_ONE_ONE, (127.5, 127.5, 127.5), (127.5, 127.5, 127.5))


def scale_and_offset(statistics: Statistics) -> tuple[list[float], list[float]]:
    """Factors and summands of red, green and blue that scale levels 0 to 255 as asked."""
    if statistics.scaling == MINUS_ONE_ONE:
        return [1 / 127.5] * 3, [-1.0] * 3
    if statistics.scaling == ZERO_ONE:
        return [1 / 255.0] * 3, [0.0] * 3
    scales = [1 / std for std in statistics.std]
    return scales, [-mean * scale for mean, scale in zip(statistics.mean, scales, strict=True)]


def scaled(pixels: Any, statistics: Statistics) -> Any:
    """Levels 0 to 255 as the network learns from them; part of the network, so that its input stays the pixel."""
    scales, offsets = scale_and_offset(statistics)
    alike = len(set(scales)) == len(set(offsets)) == 1
    factor, summand = (scales[0], offsets[0]) if alike else (scales, offsets)
    return layers.Rescaling(factor, summand, name=SCALED)(pixels)


def pooled(maps: Any, dense_units: int) -> Any:
    """The features (N, F) of activation maps: their means, through a dense layer of its own if there are units."""
    if dense_units == 0:
        return layers.GlobalAveragePooling2D(name=FEATURES)(maps)
    means = layers.GlobalAveragePooling2D(name=POOLED)(maps)
    return layers.Dense(dense_units, activation="relu", name=FEATURES)(means)


def classified(features: Any, classes: int, dropout: float) -> Any:
    """Probabilities (N, classes), always in float32: half precision would round them."""
    x = layers.Dropout(dropout, name="dropout")(features)
    return layers.Dense(classes, activation="softmax", dtype="float32", name=PROBABILITIES)(x)
