"""Transfer learning in two phases: a head on frozen features, then the upper blocks, gently; or all from scratch."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from hemaloop.errors import ConfigError, DataError
from hemaloop.model.augmentation import AugmentParams
from hemaloop.model.fitting import (
    ALONE,
    USUAL,
    Epoch,
    Examples,
    Plan,
    Session,
    class_weights,
    fine_tune,
    fit,
    predict,
)  # fmt: skip
from hemaloop.model.losses import penalise_weights
from hemaloop.model.networks import catalogue
from hemaloop.model.networks.ends import CENTRED
from hemaloop.model.parameters import FLOAT32, RANDOM, TrainParams
from hemaloop.model.prepared import Samples, Statistics
from hemaloop.model.runtime import computing_in, strategy_for
from hemaloop.model.weights import give_pretrained

HEAD, BLOCKS = "head", "blocks"  # phases


def train(
    training: Samples,
    validation: Samples,
    size_px: int,
    classes: Sequence[str],
    params: TrainParams,
    augmentation: AugmentParams = USUAL,
    statistics: Statistics = CENTRED,
    session: Session = ALONE,
) -> tuple[Any, list[Epoch]]:
    """A fitted keras.Model, as `catalogue.build` makes it, and its curves.

    Raises:
        DataError: a class has no training image.
        ConfigError: the weights to start from are not there, or the devices cannot share a batch evenly.
    """
    check_classes(training, classes)
    strategy = strategy_for(params.devices)
    _check_share(params.batch_images, strategy.num_replicas_in_sync)
    with strategy.scope(), computing_in(params.precision):
        model = catalogue.build(params, size_px, len(classes), statistics)
    scratch = params.weights == RANDOM
    curves: list[Epoch] = []
    penalise_weights(model, params.l2)
    if not scratch:
        give_pretrained(model, params)
        curves = _fit_head(model, training, validation, params, session)
    plan = _plan(BLOCKS, params, augmentation, first_epoch=len(curves) + 1)
    first_block = 0 if scratch else params.first_block
    statistics_learn = scratch or params.batch_norm
    curves += fine_tune(model, training, validation, first_block, plan, statistics_learn, session=session)
    if params.precision == FLOAT32 and strategy.num_replicas_in_sync == 1:
        return model, curves
    alone = catalogue.build(params, size_px, len(classes), statistics)  # float32, on one device, as it is converted
    catalogue.copy_weights(model, alone)
    return alone, curves


def _check_share(batch_images: int, replicas: int) -> None:
    if batch_images % replicas:
        raise ConfigError(
            f"train.batch_images: {replicas} devices cannot share {batch_images} images evenly: "
            f"set a multiple of {replicas}, or train.devices to one"
        )


def _plan(phase: str, params: TrainParams, augmentation: AugmentParams = USUAL, first_epoch: int = 1) -> Plan:
    head = phase == HEAD
    return Plan(
        phase,
        params.head_epochs if head else params.epochs,
        params.head_learning_rate if head else params.learning_rate,
        params.batch_images,
        params.label_smoothing,
        params.seed,
        first_epoch,
        augmentation,
        params.schedule,
        params.patience,
        params.confidence_penalty,
    )


def check_classes(training: Samples, classes: Sequence[str]) -> None:
    missing = [name for name, count in zip(classes, training.counts(), strict=True) if count == 0]
    if missing:
        raise DataError(
            f"class {', '.join(missing)} has no training image: label some, or take it out of classes in params.yaml"
        )


def _fit_head(model: Any, training: Samples, validation: Samples, params: TrainParams, session: Session) -> list[Epoch]:
    """Fit what stands on the pretrained backbone alone, on features that are computed once."""
    end = model.get_layer(catalogue.backbone_end(model))
    with model.distribute_strategy.scope():
        backbone = keras.Model(model.input, end.output)
        backbone.compile(jit_compile=False)
        head = keras.Sequential([keras.Input(end.output.shape[1:]), *model.layers[model.layers.index(end) + 1 :]])
    features, held_out = predict(backbone, training), predict(backbone, validation)
    examples = Examples(
        inputs=lambda positions, _rng: features[positions],
        labels=training.labels,
        validation=lambda fitted: np.asarray(fitted(held_out, training=False)),
        validation_labels=validation.labels,
        class_weights=class_weights(training),
    )
    return fit(head, examples, _plan(HEAD, params), session)
