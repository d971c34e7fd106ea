"""S1's light convolutional network for white blood cells."""

from typing import Any

from keras import layers

from hemaloop.model.networks.ends import FEATURES

FILTERS = (32, 64, 128)
UNITS = 128


def body(scaled: Any) -> Any:
    """Convolutions of 3x3 with ReLU, each with a max-pool of 2x2 behind it; flattened, then dense with ReLU.

    Source: Mahale et al. 2025, JISEM 10(10s). The paper says "32 filters, then the pattern repeated with more filters",
    names no kernel, padding or dense size, and reports 48 MB. Taken here: 3x3, zero padding, 32, 64 and 128 filters
    and 128 units, which at 224 px are 49 MiB of float32 weights (a test counts them). Its dropout is train.dropout.
    """
    x = scaled
    for number, filters in enumerate(FILTERS, start=1):
        x = layers.Conv2D(filters, 3, padding="same", activation="relu", name=f"conv_{number}")(x)
        x = layers.MaxPooling2D(2, name=f"pool_{number}")(x)
    x = layers.Flatten(name="flat")(x)
    return layers.Dense(UNITS, activation="relu", name=FEATURES)(x)
