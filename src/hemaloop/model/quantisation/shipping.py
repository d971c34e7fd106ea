"""The file that ships: in the form that is asked for, and finer where eight bits lose too much."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hemaloop.inference.classifier import Classifier
from hemaloop.inference.metadata import ModelMetadata, attach
from hemaloop.model.parameters import INT8, QuantiseParams
from hemaloop.model.prepared import Pixels, Samples
from hemaloop.model.quantisation.conversion import convert, quiet
from hemaloop.model.quantisation.finer import Attempt, attempts, choose
from hemaloop.model.quantisation.layers import LayerError, Layers, worst
from hemaloop.model.validation import macro_sensitivity

EXAMINED = 32  # images that layers' errors are measured on: thousands of places in each
ANSWERED_AT_ONCE = 64


@dataclass(frozen=True)
class Shipped:
    content: bytes
    errors: tuple[LayerError, ...]  # of int8; none of another form
    kept_finer: tuple[LayerError, ...]
    tried: tuple[Attempt, ...]
    drop: float  # of macro sensitivity on the validation side, against the same model in float
    within: bool  # whether that is no more than allowed


def ship(
    model: Any,
    floating: bytes,
    calibration: Pixels,
    validation: Samples,
    metadata: ModelMetadata,
    params: QuantiseParams,
) -> Shipped:
    """Quantise, judge on the validation side, and keep the worst layers in float while it loses too much.

    Args:
        floating: the same model as `to_float` writes it.
        calibration: training images (M, S, S, 3) uint8.
    """
    wanted = sensitivity(floating, validation, metadata)

    def drop(content: bytes) -> float:
        return round(wanted - sensitivity(content, validation, metadata), 6)

    first = convert(model, params.form, calibration)
    if params.form != INT8:
        return _shipped([Attempt(0, first, drop(first))], (), (), params)
    layers = Layers(model, calibration)
    errors = layers.errors(calibration[:: max(1, len(calibration) // EXAMINED)])
    ranked = worst(errors)

    def make(count: int) -> bytes:
        return layers.keep_float(ranked[:count]) if count else first

    tried = attempts(min(params.finer_layers, len(ranked)), make, drop, params.allowed_drop)
    return _shipped(tried, errors, ranked, params)


def sensitivity(content: bytes, validation: Samples, metadata: ModelMetadata) -> float:
    """Macro sensitivity on the validation side, as a device would answer."""
    with quiet():  # LiteRT says which delegate it chose
        classifier = Classifier(attach(content, metadata))
    answers = [classifier.probabilities(batch) for batch in validation.batches(ANSWERED_AT_ONCE)]
    return macro_sensitivity(validation.labels, np.concatenate(answers))


def _shipped(
    tried: list[Attempt], errors: tuple[LayerError, ...], ranked: Sequence[LayerError], params: QuantiseParams
) -> Shipped:
    chosen = choose(tried, params.allowed_drop)
    finer = tuple(ranked[: chosen.layers])
    return Shipped(chosen.content, errors, finer, tuple(tried), chosen.drop, chosen.drop <= params.allowed_drop)
