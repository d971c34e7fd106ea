"""MobileNetV2 with a width of its own for every block, so that channels can be taken away.

With `full_widths` it is `keras.applications.MobileNetV2`, layer for layer and name for name (a test compares them).

Source: Sandler et al. 2018, "MobileNetV2: Inverted Residuals and Linear Bottlenecks", arXiv:1801.04381.
"""

import itertools
import re
from collections.abc import Sequence
from typing import Any

import keras
from keras import layers

from hemaloop.model.networks.ends import CENTRED, FEATURES, PIXELS, POOLED, SCALED, classified, pooled, scaled
from hemaloop.model.parameters import MOBILENETV2
from hemaloop.model.prepared import Statistics

CHANNELS, STRIDES = (16, 24, 32, 64, 96, 160, 320), (1, 2, 2, 2, 1, 2, 1)
REPEATS = (1, 2, 3, 4, 3, 3, 1)  # of each; only the first of a kind has the stride
EXPANSION = 6
LAST_CHANNELS = 1280
EPSILON = 1e-3  # of batch normalisation
MOMENTUM = 0.9  # matters only from random weights: Keras's 0.999 forgets the start after thousands of batches
BLOCKS = tuple(  # (channels before alpha, stride)
    (channels, stride if repeat == 0 else 1)
    for channels, stride, repeats in zip(CHANNELS, STRIDES, REPEATS, strict=True)
    for repeat in range(repeats)
)


def scale_channels(channels: int, alpha: float) -> int:
    """`channels` times `alpha`, to the nearest multiple of 8 that loses at most a tenth (paper's reference code)."""
    wanted = int(channels * alpha)
    rounded = max(8, (wanted + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * wanted else rounded


def full_widths(alpha: float) -> tuple[int, ...]:
    """Expansion channels of the 16 blocks that expand, before any was removed."""
    return tuple(EXPANSION * scale_channels(channels, alpha) for channels, _ in BLOCKS[:-1])


def build(
    size_px: int,
    classes: int,
    alpha: float,
    widths: Sequence[int],
    dropout: float = 0.0,
    dense_units: int = 0,
    statistics: Statistics = CENTRED,
) -> Any:
    """A classifier with random weights.

    Args:
        size_px: input side; any from 32 on.
        widths: expansion channels of the 16 blocks that expand.
        dense_units: of a dense layer with ReLU between the pooled features and the last layer; 0 for none.

    Returns:
        keras.Model: input (N, size_px, size_px, 3) float32 in [0, 255], so that an int8 input is the pixel itself;
        output (N, classes) probabilities.
    """
    inputs = layers.Input((size_px, size_px, 3), name=PIXELS)
    features = body(scaled(inputs, statistics), alpha, widths, dense_units)
    return keras.Model(inputs, classified(features, classes, dropout), name=MOBILENETV2)


def with_widths(model: Any, alpha: float, widths: Sequence[int]) -> Any:
    """The same network with other expansion channels and random weights: size, scaling, head and dropout stay."""
    inputs = layers.Input(model.input.shape[1:], name=PIXELS)
    x = layers.Rescaling.from_config(model.get_layer(SCALED).get_config())(inputs)
    dense_units = model.get_layer(FEATURES).units if any(layer.name == POOLED for layer in model.layers) else 0
    features = body(x, alpha, widths, dense_units)
    outputs = classified(features, model.output.shape[-1], model.get_layer("dropout").rate)
    return keras.Model(inputs, outputs, name=model.name)


def body(x: Any, alpha: float, widths: Sequence[int], dense_units: int = 0) -> Any:
    """Everything between the scaled pixels and the features (N, F)."""
    x = layers.Conv2D(scale_channels(32, alpha), 3, strides=2, padding="same", use_bias=False, name="Conv1")(x)
    x = _activated(x, "bn_Conv1", "Conv1_relu")
    for index, (channels, stride) in enumerate(BLOCKS):
        width = widths[index - 1] if index else None
        x = _block(x, index, width, scale_channels(channels, alpha), stride)
    x = layers.Conv2D(last_channels(alpha), 1, use_bias=False, name="Conv_1")(x)
    x = _activated(x, "Conv_1_bn", "out_relu")
    return pooled(x, dense_units)


def block_of(layer: str) -> int:
    """0 the stem and the first block, 1 to 16 the blocks that expand, 17 what follows."""
    found = re.match(r"block_(\d+)_", layer)
    if found:
        return int(found[1])
    return 0 if layer.startswith(("Conv1", "bn_Conv1", "expanded_conv_", SCALED)) else len(BLOCKS)


def last_channels(alpha: float) -> int:
    """Channels of the features: the paper never makes the last convolution narrower."""
    return scale_channels(LAST_CHANNELS, max(alpha, 1.0))


def block_name(index: int) -> str:
    """What the names of a block's layers begin with, as Keras has them."""
    return f"block_{index}_" if index else "expanded_conv_"


def widths_of(model: Any) -> tuple[int, ...]:
    """The expansion channels of a model's blocks, as `build` takes them."""
    blocks = range(1, len(BLOCKS))
    return tuple(int(model.get_layer(f"{block_name(index)}expand").filters) for index in blocks)


def set_weights(model: Any, weights: dict[str, list[Any]]) -> None:
    """Give each layer of the model that has weights those of its name; other names are ignored.

    Raises:
        KeyError: a layer of the backbone is not named. ValueError: a shape differs.
    """
    backbone = itertools.takewhile(lambda layer: layer.name not in (POOLED, FEATURES), model.layers)
    for layer in backbone:
        if layer.weights:
            layer.set_weights(weights[layer.name])


def _block(x: Any, index: int, width: int | None, channels: int, stride: int) -> Any:
    """An inverted residual: expand (but in the first block), 3x3 depthwise, project without activation."""
    name, shortcut = block_name(index), x
    if width is not None:
        x = layers.Conv2D(width, 1, padding="same", use_bias=False, name=f"{name}expand")(x)
        x = _activated(x, f"{name}expand_BN", f"{name}expand_relu")
    if stride == 2:
        x = layers.ZeroPadding2D(_padding(x.shape[1]), name=f"{name}pad")(x)
    padding = "same" if stride == 1 else "valid"
    x = layers.DepthwiseConv2D(3, strides=stride, padding=padding, use_bias=False, name=f"{name}depthwise")(x)
    x = _activated(x, f"{name}depthwise_BN", f"{name}depthwise_relu")
    x = layers.Conv2D(channels, 1, padding="same", use_bias=False, name=f"{name}project")(x)
    x = _normalised(x, f"{name}project_BN")
    if stride == 1 and shortcut.shape[-1] == channels:
        x = layers.Add(name=f"{name}add")([shortcut, x])
    return x


def _padding(side_px: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Zeros around a 3x3 kernel with stride 2, as in the reference code: one less before an even side."""
    before = side_px % 2
    return ((before, 1), (before, 1))


def _normalised(x: Any, name: str) -> Any:
    return layers.BatchNormalization(epsilon=EPSILON, momentum=MOMENTUM, name=name)(x)


def _activated(x: Any, norm: str, relu: str) -> Any:
    return layers.ReLU(6.0, name=relu)(_normalised(x, norm))
