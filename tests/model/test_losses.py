"""The penalties of S5 are what their equations say."""

import dataclasses

import numpy as np
import pytest
from some_params import PARAMS, STATISTICS

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("tensorflow")]


@pytest.mark.parametrize(("k", "smoothing"), [(0.0, 0.1), (0.1, 0.0), (1.5, 0.2)])
def test_being_sure_costs_k_times_what_entropy_is_missing(k: float, smoothing: float) -> None:
    from hemaloop.model.losses import ConfidencePenalty, cross_entropy

    rng = np.random.default_rng(0)
    answers = rng.dirichlet(np.ones(4), 20).astype(np.float32)
    labels = np.eye(4, dtype=np.float32)[rng.integers(0, 4, 20)]
    weights = rng.uniform(0.5, 2, 20).astype(np.float32)
    targets = labels * (1 - smoothing) + smoothing / 4
    entropy = -(answers * np.log(answers)).sum(axis=1)
    wanted = -(targets * np.log(answers)).sum(axis=1) - k * entropy
    for loss in (ConfidencePenalty(k, smoothing), cross_entropy(smoothing, k)):
        assert float(loss(labels, answers, weights)) == pytest.approx(np.mean(wanted * weights), rel=1e-5)


@pytest.mark.parametrize("k", [0.0, 0.1])
def test_a_network_that_is_surely_wrong_still_learns(k: float) -> None:
    """Its probability of the truth is 0 in float32: a clipped logarithm has no slope there."""
    import keras

    from hemaloop.model.losses import cross_entropy

    inputs = keras.Input((1,))
    last = keras.layers.Dense(2, use_bias=False, activation="softmax", kernel_initializer="zeros")
    model = keras.Model(inputs, last(inputs))
    model.compile(keras.optimizers.SGD(1.0), cross_entropy(0.0, k))
    last.kernel.assign([[500.0, -500.0]])
    model.fit(np.ones((8, 1)), np.tile([0.0, 1.0], (8, 1)), batch_size=8, epochs=3, verbose=0)
    assert last.kernel.numpy()[0] == pytest.approx([497.0, -497.0], rel=1e-3)


def test_the_loss_and_its_settings_survive_saving() -> None:
    import keras

    from hemaloop.model.losses import ConfidencePenalty

    saved = keras.saving.serialize_keras_object(ConfidencePenalty(0.3, 0.1))
    found = keras.saving.deserialize_keras_object(saved)
    assert (found.k, found.label_smoothing) == (0.3, 0.1)


def test_kernels_that_learn_are_penalised_by_their_squares_and_nothing_else() -> None:
    from hemaloop.model.losses import penalise_weights
    from hemaloop.model.networks import catalogue

    model = catalogue.build(dataclasses.replace(PARAMS, network="wbc_cnn"), 32, 3, STATISTICS)
    penalise_weights(model, 0.0)
    assert model.losses == []
    penalise_weights(model, 1 / 3 * 0.01)
    model.get_layer("conv_1").trainable = False
    kernels = [model.get_layer(name).kernel for name in ("conv_2", "conv_3", "features", "probabilities")]
    wanted = 1 / 3 * 0.01 * sum(float(np.square(kernel.numpy()).sum()) for kernel in kernels)
    assert float(sum(model.losses)) == pytest.approx(wanted, rel=1e-4)
