"""A map shows what the network's own sum says, and nothing else."""

from typing import Any

import numpy as np
import pytest
from lively import lively_model

from hemaloop.model.prepared import Pixels, Samples

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("tensorflow")]

ASKED = np.array([0, 1, 2, 0])


@pytest.fixture(scope="module")
def pixels(training: Samples) -> Pixels:
    return training.take(np.arange(len(ASKED)))


@pytest.fixture(scope="module")
def lively(tensorflow: None, training: Samples) -> Any:
    return lively_model(np.repeat(np.repeat(training.take(np.arange(24)), 2, axis=1), 2, axis=2))


def doubled(pixels: Pixels) -> Pixels:
    """64 px, so that more than one place is left at the end."""
    return np.repeat(np.repeat(pixels, 2, axis=1), 2, axis=2)


def test_the_mean_of_an_exact_map_is_the_classs_score(lively: Any, pixels: Pixels) -> None:
    import keras

    from hemaloop.model.explanation import averaged, exact_maps

    images = doubled(pixels).astype(np.float32)
    maps = exact_maps(lively, averaged(lively), images, ASKED)
    kernel, bias = lively.get_layer("probabilities").get_weights()
    scores = np.log(lively(images, training=False).numpy())
    apart = scores[np.arange(4), ASKED] - (maps.mean(axis=(1, 2)) + bias[ASKED])
    logits = np.asarray(keras.Model(lively.input, lively.get_layer("features").output)(images)) @ kernel + bias
    np.testing.assert_allclose(apart, -np.log(np.exp(logits).sum(axis=1)), atol=1e-4)  # the softmax's denominator
    assert maps.shape[1:] == (2, 2)
    assert maps.std() > 0


def test_gradients_give_the_exact_map_where_there_is_one_even_frozen(lively: Any, pixels: Pixels) -> None:
    from hemaloop.model.explanation import EXACT, averaged, explain, gradient_maps, normalised

    images = doubled(pixels)
    exact = explain(lively, images, ASKED)
    assert exact is not None
    assert exact.method == EXACT
    last = next(layer for layer in lively.layers if layer.output is averaged(lively))
    lively.trainable = False
    np.testing.assert_allclose(
        normalised(gradient_maps(lively, last, images.astype(np.float32), ASKED)), exact.values, atol=1e-5
    )


def test_other_networks_get_what_they_keep_and_none_gets_a_map_made_up(pixels: Pixels) -> None:
    import keras
    from keras import layers

    from hemaloop.model.explanation import BY_ROW, GRADIENT, explain

    def network(*inner: Any) -> Any:
        inputs = x = keras.Input((32, 32, 3))
        for layer in (layers.Rescaling(1 / 255), *inner, layers.Dense(3, activation="softmax", name="probabilities")):
            x = layer(x)
        return keras.Model(inputs, x)

    plain = network(layers.Conv2D(4, 3), layers.MaxPooling2D(), layers.Flatten(), layers.Dropout(0.5))
    rows = network(layers.Reshape((32, 96)), layers.SimpleRNN(4, name="features"))
    found = [explain(model, pixels, ASKED) for model in (plain, rows, network(layers.Flatten()))]
    assert [maps and (maps.method, maps.values.shape) for maps in found] == [
        (GRADIENT, (4, 15, 15)), (BY_ROW, (4, 32, 1)), None,
    ]  # fmt: skip
    assert all(0 <= maps.values.min() <= maps.values.max() <= 1 for maps in found if maps)
