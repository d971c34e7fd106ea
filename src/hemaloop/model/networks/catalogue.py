"""Networks by the names that params.yaml gives them."""

from collections.abc import Callable
from typing import Any

import keras
from keras import layers

from hemaloop.model.networks import baseline_cnn, efficientnetb0, mobilenetv2, nasnetmobile, row_rnn, wbc_cnn
from hemaloop.model.networks.ends import FEATURES, PIXELS, POOLED, classified, scaled
from hemaloop.model.parameters import (
    BASELINE_CNN,
    EFFICIENTNETB0,
    MOBILENETV2,
    NASNETMOBILE,
    ROW_RNN,
    WBC_CNN,
    TrainParams,
)  # fmt: skip
from hemaloop.model.prepared import Statistics

PLAIN: dict[str, Callable[[Any], Any]] = {
    WBC_CNN: wbc_cnn.body,
    ROW_RNN: row_rnn.body,
    BASELINE_CNN: baseline_cnn.body,
}
BLOCK_OF = {EFFICIENTNETB0: efficientnetb0.block_of, NASNETMOBILE: nasnetmobile.block_of}


def build(params: TrainParams, size_px: int, classes: int, statistics: Statistics) -> Any:
    """The network `train.network` with random weights.

    Returns:
        keras.Model named after the network: input (N, size_px, size_px, 3) float32, levels 0 to 255; layer "features"
        (N, F); last layer "probabilities" (N, classes).
    """
    inputs = layers.Input((size_px, size_px, 3), name=PIXELS)
    features = _features(inputs, params, statistics)
    return keras.Model(inputs, classified(features, classes, params.dropout), name=params.network)


def _features(inputs: Any, params: TrainParams, statistics: Statistics) -> Any:
    if params.network == EFFICIENTNETB0:
        return efficientnetb0.body(inputs, statistics, params.dense_units)
    x = scaled(inputs, statistics)
    if params.network == NASNETMOBILE:
        return nasnetmobile.body(x, params.dense_units)
    if params.network == MOBILENETV2:
        return mobilenetv2.body(x, params.alpha, mobilenetv2.full_widths(params.alpha), params.dense_units)
    return PLAIN[params.network](x)


def backbone_end(model: Any) -> str:
    """Name of the layer up to which pretrained weights reach: its output (N, F) is what a frozen backbone gives."""
    return POOLED if any(layer.name == POOLED for layer in model.layers) else FEATURES


def learns(model: Any, layer: str, first_block: int) -> bool:
    """Whether a layer is fine-tuned: those of blocks from `first_block` on, 0 the stem, 17 what follows the last.

    Networks without blocks learn as a whole.
    """
    return BLOCK_OF.get(model.name, mobilenetv2.block_of)(layer) >= first_block


def copy_weights(source: Any, target: Any) -> None:
    """Give one network the weights of another that was built alike, EfficientNet's normalisation too."""
    target.set_weights(source.get_weights())
    for layer in target.layers:
        if isinstance(layer, layers.Normalization):
            layer.finalize_state()  # Keras computes with what it read last
