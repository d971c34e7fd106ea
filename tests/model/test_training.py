"""Training is repeatable, keeps its best epoch, and leaves alone what it must."""

import dataclasses

import numpy as np
import pytest
from lively import lively_model
from some_params import PARAMS

from hemaloop.errors import DataError
from hemaloop.model.prepared import Samples

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("tensorflow")]
CLASSES = ("reddish", "greenish", "bluish")


def test_the_model_is_left_at_its_best_epoch(training: Samples, validation: Samples) -> None:
    """A learning rate this large ruins the model at once: what is kept is what it was."""
    from hemaloop.model.fitting import Plan, fine_tune, predict

    model = lively_model(training.take(np.arange(len(training))))
    before = model.get_weights()
    (epoch,) = fine_tune(model, training, validation, 0, Plan("blocks", 1, 10.0, 8, 0.05, seed=1))
    assert all(map(np.array_equal, model.get_weights(), before))
    likelihood = predict(model, validation)[np.arange(len(validation)), validation.labels]
    assert -np.mean(np.log(likelihood)) < epoch.val_loss / 2


def test_frozen_blocks_and_normalisations_stay(training: Samples) -> None:
    from hemaloop.model.fitting import freeze_below
    from hemaloop.model.networks import mobilenetv2

    model = mobilenetv2.build(32, 3, 0.35, mobilenetv2.full_widths(0.35))
    before = {layer.name: layer.get_weights() for layer in model.layers if layer.weights}
    freeze_below(model, 16)
    model.compile("adam", "sparse_categorical_crossentropy", jit_compile=False)
    model.train_on_batch(training.take(np.arange(24)).astype(np.float32), training.labels)
    after = {name: model.get_layer(name).get_weights() for name in before}
    changed = {name for name in before if not all(map(np.array_equal, before[name], after[name]))}
    assert changed == {"block_16_expand", "block_16_depthwise", "block_16_project", "Conv_1", "probabilities"}


def test_a_class_without_training_images_is_named(training: Samples, validation: Samples) -> None:
    from hemaloop.model.training import train

    positions = np.flatnonzero(training.labels != 1)
    fewer = dataclasses.replace(training, rows=training.rows[positions], labels=training.labels[positions])
    with pytest.raises(DataError, match="class greenish has no training image"):
        train(fewer, validation, 32, CLASSES, PARAMS)


def test_rare_classes_count_as_much_as_common_ones(training: Samples) -> None:
    from hemaloop.model.fitting import class_weights

    positions = np.r_[0:8, 8:10, 16:17]
    uneven = dataclasses.replace(training, rows=training.rows[positions], labels=training.labels[positions])
    weights = class_weights(uneven)
    np.testing.assert_allclose(weights * uneven.counts(), len(uneven) / 3, rtol=1e-6)


def test_loss_is_the_cross_entropy_that_keras_computes() -> None:
    import keras

    from hemaloop.model.fitting import weighted_loss

    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet(np.ones(3), 20).astype(np.float32)
    labels = rng.integers(0, 3, 20)
    wanted = keras.losses.CategoricalCrossentropy(label_smoothing=0.1)(np.eye(3)[labels], probabilities)
    assert weighted_loss(probabilities, labels, np.ones(3, np.float32), 0.1) == pytest.approx(float(wanted), rel=1e-5)
