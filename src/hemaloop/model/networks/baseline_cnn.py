"""S2's baseline, that its MobileNetV2 is compared with."""

from typing import Any

from keras import layers

from hemaloop.model.networks.ends import FEATURES

FILTERS = (32, 64, 128)
UNITS = 256


def body(scaled: Any) -> Any:
    """Convolution 32, pool, convolution 64, pool, convolution 128, dense 256.

    Source: Harish et al. 2025, IJRASET 13(IV). The paper names no kernel, padding or activation, nor how maps become a
    vector. Taken here: 3x3, zero padding, ReLU, max-pools of 2x2, and flattening without a third pool, as its list has
    none. That is large (33.6 million weights in the dense layer at the 128 px of its flow table), and is left so.
    """
    x = scaled
    for number, filters in enumerate(FILTERS, start=1):
        x = layers.Conv2D(filters, 3, padding="same", activation="relu", name=f"conv_{number}")(x)
        if number < len(FILTERS):
            x = layers.MaxPooling2D(2, name=f"pool_{number}")(x)
    x = layers.Flatten(name="flat")(x)
    return layers.Dense(UNITS, activation="relu", name=FEATURES)(x)
