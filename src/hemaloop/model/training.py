"""Transfer learning in two phases: a head on frozen features, then the upper blocks, gently."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from hemaloop.errors import DataError
from hemaloop.model.augmentation import AugmentParams
from hemaloop.model.fitting import Epoch, Examples, Plan, class_weights, fine_tune, fit, predict
from hemaloop.model.networks import mobilenetv2
from hemaloop.model.parameters import RANDOM, TrainParams
from hemaloop.model.prepared import Samples
from hemaloop.model.weights import pretrained


def train(
    training: Samples,
    validation: Samples,
    size_px: int,
    classes: Sequence[str],
    params: TrainParams,
    augmentation: AugmentParams = AugmentParams(),
) -> tuple[Any, list[Epoch]]:
    """A fitted keras.Model, as `mobilenetv2.build` makes it, and its curves.

    Raises:
        DataError: a class has no training image.
        ConfigError: the weights to start from are not there.
    """
    check_classes(training, classes)
    widths = mobilenetv2.full_widths(params.alpha)
    model = mobilenetv2.build(size_px, len(classes), params.alpha, widths, params.dropout)
    scratch = params.weights == RANDOM
    curves: list[Epoch] = []
    if not scratch:
        mobilenetv2.set_weights(model, pretrained(params.weights, params.alpha))
        curves = _fit_head(model, training, validation, params)
    plan = Plan(
        "blocks",
        params.epochs,
        params.learning_rate,
        params.batch_images,
        params.label_smoothing,
        params.seed,
        first_epoch=len(curves) + 1,
        augmentation=augmentation,
    )
    first_block = 0 if scratch else params.first_block
    return model, curves + fine_tune(model, training, validation, first_block, plan, statistics=scratch)


def check_classes(training: Samples, classes: Sequence[str]) -> None:
    missing = [name for name, count in zip(classes, training.counts(), strict=True) if count == 0]
    if missing:
        raise DataError(
            f"class {', '.join(missing)} has no training image: label some, or take it out of classes in params.yaml"
        )


def _fit_head(model: Any, training: Samples, validation: Samples, params: TrainParams) -> list[Epoch]:
    """Fit the last layer alone, on features that are computed once."""
    backbone = keras.Model(model.input, model.get_layer(mobilenetv2.FEATURES).output)
    backbone.compile(jit_compile=False)
    features, held_out = predict(backbone, training), predict(backbone, validation)
    last = model.get_layer("probabilities")
    head = keras.Sequential(
        [keras.Input(features.shape[1:]), keras.layers.Dropout(params.dropout, seed=params.seed), last]
    )
    plan = Plan(
        "head", params.head_epochs, params.head_learning_rate, params.batch_images, params.label_smoothing, params.seed
    )
    examples = Examples(
        inputs=lambda positions, _rng: features[positions],
        labels=training.labels,
        validation=lambda fitted: np.asarray(fitted(held_out, training=False)),
        validation_labels=validation.labels,
        class_weights=class_weights(training),
    )
    return fit(head, examples, plan)
