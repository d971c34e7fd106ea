"""Fit a network to images: balanced, augmented, repeatable, and left at its best epoch."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from hemaloop.model.augmentation import AugmentParams, augment
from hemaloop.model.networks import mobilenetv2
from hemaloop.model.prepared import Samples

log = logging.getLogger(__name__)

Array = npt.NDArray[np.float32]
PREDICTED_AT_ONCE = 64


@dataclass(frozen=True)
class Epoch:
    """A point of the training curves; losses are weighted by class, with the smoothed labels."""

    phase: str  # head, blocks or pruned
    epoch: int  # 1 is the first
    loss: float
    accuracy: float
    val_loss: float
    val_accuracy: float


@dataclass(frozen=True)
class Plan:
    """How to fit."""

    phase: str
    epochs: int
    learning_rate: float  # falls to zero along a cosine
    batch_images: int
    label_smoothing: float
    seed: int
    first_epoch: int = 1
    augmentation: AugmentParams = AugmentParams()


@dataclass(frozen=True)
class Examples:
    """What a model is fitted to: `inputs(positions, rng)` makes a batch of float32 inputs."""

    inputs: Callable[[npt.NDArray[np.intp], np.random.Generator], Array]
    labels: npt.NDArray[np.intp]
    validation: Callable[[Any], Array]  # model -> its probabilities on the validation side (n, classes)
    validation_labels: npt.NDArray[np.intp]
    class_weights: Array  # (classes,)


def fine_tune(
    model: Any,
    training: Samples,
    validation: Samples,
    first_block: int,
    plan: Plan,
    statistics: bool = False,
    wrap: Callable[[Any], Any] = lambda model: model,
) -> list[Epoch]:
    """Train a model's layers from `first_block` on with augmented images.

    Args:
        statistics: whether batch normalisation learns too, as a model from random weights must; a pretrained one keeps
            its statistics and scales: batches this small would only disturb them.
        wrap: what is fitted in the model's place: a keras.Model with its weights and answers, and a loss of its own.
    """
    freeze_below(model, first_block, statistics)
    examples = Examples(
        inputs=lambda positions, rng: augment(training.take(positions), rng, plan.augmentation),
        labels=training.labels,
        validation=lambda fitted: predict(fitted, validation),
        validation_labels=validation.labels,
        class_weights=class_weights(training),
    )
    return fit(wrap(model), examples, plan)


def freeze_below(model: Any, first_block: int, statistics: bool = False) -> None:
    """Let only convolutions from that block on, and the head, learn; 0 includes the stem; `statistics` too if asked."""
    names = [mobilenetv2.block_name(index) for index in range(len(mobilenetv2.BLOCKS))] + ["Conv_1"]
    learns = first_block == 0
    for layer in model.layers:
        learns = learns or layer.name.startswith(names[first_block])
        layer.trainable = learns and (statistics or not isinstance(layer, keras.layers.BatchNormalization))


def class_weights(training: Samples) -> Array:
    """Weights (classes,) that make every class count the same, 1 on average over the images.

    Source: King and Zeng 2001, "Logistic Regression in Rare Events Data", as scikit-learn's "balanced".
    """
    return np.asarray(len(training) / (training.classes * training.counts()), np.float32)


def predict(model: Any, samples: Samples) -> Array:
    """Outputs of the model for every image, in order, float32 (n, ...)."""
    outputs = []
    for pixels in samples.batches(PREDICTED_AT_ONCE):
        # A batch of another shape would be compiled anew: fill the last one up.
        full = np.resize(pixels, (PREDICTED_AT_ONCE, *pixels.shape[1:])).astype(np.float32)
        outputs.append(np.asarray(model.predict_on_batch(full))[: len(pixels)])
    return np.concatenate(outputs)


def fit(model: Any, examples: Examples, plan: Plan) -> list[Epoch]:
    """Train, then leave the model as it was at the lowest validation loss; before the first epoch counts too."""
    batches = -(-len(examples.labels) // plan.batch_images)
    _compile(model, plan, batches)
    best, best_loss = model.get_weights(), _validate(model, examples, plan)[0]
    curves = []
    for epoch in range(plan.first_epoch, plan.first_epoch + plan.epochs):
        loss, accuracy = _run_epoch(model, examples, plan, np.random.default_rng([plan.seed, epoch]), batches)
        val_loss, val_accuracy = _validate(model, examples, plan)
        curves.append(Epoch(plan.phase, epoch, loss, accuracy, val_loss, val_accuracy))
        log.info("%s: %d, loss %.3f, validation %.3f, right %.3f", plan.phase, epoch, loss, val_loss, val_accuracy)
        if val_loss < best_loss:
            best, best_loss = model.get_weights(), val_loss
    model.set_weights(best)
    return curves


def _compile(model: Any, plan: Plan, batches: int) -> None:
    schedule = keras.optimizers.schedules.CosineDecay(plan.learning_rate, max(1, plan.epochs * batches))
    loss = keras.losses.CategoricalCrossentropy(label_smoothing=plan.label_smoothing)
    # Compiling with XLA takes longer than such a training does.
    model.compile(keras.optimizers.Adam(schedule), loss, metrics=["accuracy"], jit_compile=False)


def _run_epoch(
    model: Any, examples: Examples, plan: Plan, rng: np.random.Generator, batches: int
) -> tuple[float, float]:
    """Mean loss and accuracy of one pass; the last batch is filled up with the first images."""
    order = np.resize(rng.permutation(len(examples.labels)), (batches, plan.batch_images))
    targets = np.eye(len(examples.class_weights), dtype=np.float32)
    figures = []
    for positions in order:
        labels = examples.labels[positions]
        weights = examples.class_weights[labels]
        figures.append(model.train_on_batch(examples.inputs(positions, rng), targets[labels], weights))
    loss, accuracy = np.mean(figures, axis=0)
    return float(loss), float(accuracy)


def _validate(model: Any, examples: Examples, plan: Plan) -> tuple[float, float]:
    probabilities = examples.validation(model)
    loss = weighted_loss(probabilities, examples.validation_labels, examples.class_weights, plan.label_smoothing)
    return loss, float(np.mean(probabilities.argmax(axis=1) == examples.validation_labels))


def weighted_loss(probabilities: Array, labels: npt.NDArray[np.intp], weights: Array, smoothing: float) -> float:
    """Cross-entropy against smoothed labels, each image weighted by its class."""
    count = probabilities.shape[1]
    targets = np.eye(count)[labels] * (1 - smoothing) + smoothing / count
    losses = -(targets * np.log(np.maximum(probabilities, 1e-7))).sum(axis=1)
    return float(np.mean(losses * weights[labels]))
