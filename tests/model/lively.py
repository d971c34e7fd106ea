"""Networks of random weights that react to what they see; with untouched ones a test could not fail."""

from typing import Any

import numpy as np
import numpy.typing as npt

ALPHA = 0.35


def lively_model(pixels: npt.NDArray[np.uint8]) -> Any:
    """Three classes; normalised over `pixels`, so that signals neither die out nor saturate on the way through."""
    import keras

    from hemaloop.model.networks import mobilenetv2

    model = mobilenetv2.build(pixels.shape[1], 3, ALPHA, mobilenetv2.full_widths(ALPHA))
    rng = np.random.default_rng(3)
    for norm in (layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)):
        norm.momentum = 0.0
        norm.gamma.assign(rng.uniform(0.5, 1.5, norm.gamma.shape))
        norm.beta.assign(rng.uniform(0.0, 1.0, norm.beta.shape))
    images = pixels.astype(np.float32)
    model(images, training=True)
    features = features_of(model, pixels)
    kernel, bias = model.get_layer("probabilities").get_weights()
    logits = features @ kernel
    model.get_layer("probabilities").set_weights([kernel / logits.std(), bias - logits.mean(axis=0) / logits.std()])
    assert features.std(axis=0).max() > 0.1
    return model


def features_of(model: Any, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """What the last layer sees, (N, features): a difference cannot hide behind the softmax."""
    import keras

    features = keras.Model(model.input, model.get_layer("features").output)
    found: npt.NDArray[np.float32] = features(pixels.astype(np.float32), training=False).numpy()
    return found


def plain_model() -> Any:
    """Convolutions without padding, a flattening and a dense layer, as the papers' small networks have."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(5)
    x = inputs = keras.Input((32, 32, 3))
    x = layers.Rescaling(1 / 255)(x)
    x = layers.Conv2D(16, 3, activation="relu", name="first")(x)
    x = layers.MaxPooling2D()(x)
    x = layers.Conv2D(32, 3, strides=2, name="second")(x)
    x = layers.ReLU()(x)
    x = layers.MaxPooling2D()(x)
    x = layers.Flatten()(x)
    x = layers.Dense(24, activation="relu", name="dense")(x)
    return keras.Model(inputs, layers.Dense(3, activation="softmax", name="probabilities")(x))
