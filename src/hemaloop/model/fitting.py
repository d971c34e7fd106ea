"""Fit a network to images: balanced, augmented, repeatable, and left at its best epoch."""

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from hemaloop.model.augmentation import AugmentParams, augment
from hemaloop.model.checkpoints import Arrays, Checkpoints, State, rows
from hemaloop.model.feeding import made_ahead
from hemaloop.model.losses import cross_entropy
from hemaloop.model.networks import catalogue
from hemaloop.model.parameters import COSINE, PLATEAU
from hemaloop.model.prepared import Samples
from hemaloop.model.schedules import best_of, rate_on_plateau, stops

log = logging.getLogger(__name__)

Array = npt.NDArray[np.float32]
Step = Callable[[Array, Array, Array], None]  # inputs, targets, weights
PREDICTED_AT_ONCE = 64
USUAL = AugmentParams()


@dataclass(frozen=True)
class Epoch:
    """A point of the training curves; losses are weighted by class, with the smoothed labels.

    `loss` is what is minimised, penalties too; `val_loss`, by which the best epoch is chosen, is without them.
    """

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
    learning_rate: float  # at first
    batch_images: int
    label_smoothing: float
    seed: int
    first_epoch: int = 1
    augmentation: AugmentParams = USUAL
    schedule: str = COSINE  # to zero along a cosine; or plateau, or constant
    patience: int = 0  # epochs without a better validation loss before it ends; 0: never
    confidence_penalty: float = 0.0


@dataclass(frozen=True)
class Session:
    """What a training has around it."""

    checkpoints: Checkpoints | None = None
    told: Callable[[str, float], None] = lambda phase, epochs: None  # how many epochs of a phase are done
    clock: Callable[[], float] = time.monotonic  # seconds


ALONE = Session()


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
    session: Session = ALONE,
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
    return fit(wrap(model), examples, plan, session)


def freeze_below(model: Any, first_block: int, statistics: bool = False) -> None:
    """Let only what stands from that block on, and the head, learn; 0 includes the stem.

    Args:
        first_block: see `catalogue.learns`.
        statistics: whether batch normalisation learns too.
    """
    for layer in model.layers:
        learns = catalogue.learns(model, layer.name, first_block)
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


def fit(model: Any, examples: Examples, plan: Plan, session: Session = ALONE) -> list[Epoch]:
    """Train, then leave the model as it was at the lowest validation loss; before the first epoch counts too.

    With checkpoints it goes on where the same training was killed, and ends as if it had not been.
    """
    batches = -(-len(examples.labels) // plan.batch_images)
    with model.distribute_strategy.scope():
        prepare(model, plan, batches)
    state = session.checkpoints.load(plan.phase) if session.checkpoints else None
    if state is None:
        state = _begin(model, examples, plan)
    else:
        log.info("%s: goes on after epoch %d", plan.phase, plan.first_epoch - 1 + len(state.curves))
        _restore(model, state)
    step = step_of(model)
    while len(state.curves) < plan.epochs and not stops(state.losses, plan.patience):
        state = _next(model, examples, plan, session, state, step, batches)
        if session.checkpoints:
            session.checkpoints.save(plan.phase, state)
    model.set_weights(state.best)
    return [Epoch(**row) for row in state.curves]


def prepare(model: Any, plan: Plan, batches: int) -> None:
    """Compile a model as the plan says."""
    cosine = keras.optimizers.schedules.CosineDecay(plan.learning_rate, max(1, plan.epochs * batches))
    optimiser = keras.optimizers.Adam(cosine if plan.schedule == COSINE else plan.learning_rate)
    loss = cross_entropy(plan.label_smoothing, plan.confidence_penalty)
    # Compiling with XLA takes longer than such a training does, and its steps on a CPU are slower.
    accuracy = keras.metrics.CategoricalAccuracy(name="accuracy")  # by its name alone it would be made within a step
    model.compile(optimiser, loss, metrics=[accuracy], jit_compile=False)
    model.optimizer.build(model.trainable_variables)


def _begin(model: Any, examples: Examples, plan: Plan) -> State:
    loss, _ = _validate(model, examples, plan)
    weights = tuple(model.get_weights())
    return State(_values(model), _values(model.optimizer), weights, losses=(loss,), curves=(), seconds=0.0)


def _values(owner: Any) -> Arrays:
    """Of the variables of a model, the states of its random numbers among them, or of its optimiser."""
    return tuple(np.array(variable.value.numpy()) for variable in owner.variables)


def _restore(model: Any, state: State) -> None:
    for owner, values in ((model, state.variables), (model.optimizer, state.optimiser)):
        for variable, value in zip(owner.variables, values, strict=True):
            variable.assign(value)


def _next(
    model: Any, examples: Examples, plan: Plan, session: Session, state: State, step: Step, batches: int
) -> State:
    """The state after one more epoch."""
    epoch, started = plan.first_epoch + len(state.curves), session.clock()
    if plan.schedule == PLATEAU:
        model.optimizer.learning_rate = rate_on_plateau(plan.learning_rate, state.losses)
    done = len(state.curves)
    model.reset_metrics()
    for number, batch in enumerate(batches_of(examples, plan, epoch, batches), start=1):
        step(*batch)
        session.told(plan.phase, done + number / batches)
    figures = {name: float(value) for name, value in model.get_metrics_result().items()}
    val_loss, val_accuracy = _validate(model, examples, plan)
    row = Epoch(plan.phase, epoch, figures["loss"], figures["accuracy"], val_loss, val_accuracy)
    log.info("%s: %d, loss %.3f, validation %.3f, right %.3f", plan.phase, epoch, row.loss, val_loss, val_accuracy)
    losses = (*state.losses, val_loss)
    best = tuple(model.get_weights()) if best_of(losses) == len(losses) - 1 else state.best
    seconds = state.seconds + session.clock() - started
    return State(_values(model), _values(model.optimizer), best, losses, state.curves + rows([row]), seconds)


def batches_of(examples: Examples, plan: Plan, epoch: int, batches: int) -> Iterator[tuple[Array, Array, Array]]:
    """Inputs, targets and weights of one pass; the last batch is filled up with the first images.

    Each batch has random numbers of its own, so that neither threads nor a restart change them.
    """
    order = np.random.default_rng([plan.seed, epoch]).permutation(len(examples.labels))
    positions = np.resize(order, (batches, plan.batch_images))
    targets = np.eye(len(examples.class_weights), dtype=np.float32)

    def make(number: int) -> tuple[Array, Array, Array]:
        rng = np.random.default_rng([plan.seed, epoch, number])
        labels = examples.labels[positions[number]]
        return examples.inputs(positions[number], rng), targets[labels], examples.class_weights[labels]

    return made_ahead(make, batches)


def step_of(model: Any) -> Step:
    """One step of training as a single call into TensorFlow: no metric leaves it before the epoch ends.

    `train_on_batch` takes about twice as long on a CPU at this size (`python -m bench training` compares them).
    """
    strategy = model.distribute_strategy
    replicas = strategy.num_replicas_in_sync

    def learn(*part: Any) -> None:
        model.train_step(part)

    if replicas == 1:
        return tf.function(lambda *batch: learn(*batch), autograph=False)  # type: ignore[no-any-return]
    learn_everywhere = tf.function(lambda *parts: strategy.run(learn, parts), autograph=False)

    def share(*batch: Array) -> None:
        learn_everywhere(*(
            strategy.experimental_distribute_values_from_function(
                lambda context, whole=whole: tf.constant(np.split(whole, replicas)[context.replica_id_in_sync_group])
            )
            for whole in batch
        ))  # fmt: skip

    return share


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
