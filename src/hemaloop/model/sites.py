"""A network at a new site: its batch-norm statistics taken from the site's images, its last layer exchanged."""

from functools import cached_property
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from hemaloop.errors import DataError
from hemaloop.model.adaptation import Array, Head, Labels
from hemaloop.model.prepared import Pixels

FEATURES, PROBABILITIES = "features", "probabilities"
AT_ONCE = 64

Moments = dict[str, tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]]  # of each batch-norm layer: mean, variance


class Site:
    """A model and a site's images; asks the model for features under statistics that are partly the site's."""

    def __init__(self, model: Any, pixels: Pixels) -> None:
        """
        Args:
            model: keras.Model with a layer "features" and a last layer "probabilities".
            pixels: (n, S, S, 3) uint8.

        Raises:
            DataError: the model has no such layers.
        """
        names = [layer.name for layer in model.layers]
        if FEATURES not in names or names[-1] != PROBABILITIES:
            raise DataError(f"this model cannot be adapted: it has no layers named {FEATURES} and {PROBABILITIES}")
        self.model, self.pixels = model, pixels
        self._before = moments(model)
        self._features = keras.Model(model.input, model.get_layer(FEATURES).output)

    def features(self, weight: float, known: Labels) -> Array:
        """Features (n, F) of all images, batch-norm statistics taken by `weight` from images `known`."""
        self.use_statistics(weight, known)
        return self._own if weight == 0 else self._seen()

    @cached_property
    def _own(self) -> Array:
        """With the model's own statistics, which no choice of images changes: adapting asks for them at each image."""
        return self._seen()

    def _seen(self) -> Array:
        values = [
            np.asarray(self._features(batch.astype(np.float32), training=False), np.float64)
            for batch in np.split(self.pixels, range(AT_ONCE, len(self.pixels), AT_ONCE))
        ]
        return np.concatenate(values)

    def use_statistics(self, weight: float, known: Labels) -> None:
        """Leave the model with statistics that are by `weight` those of images `known`, else its own."""
        set_moments(self.model, self._before)
        if weight > 0 and self._before:
            measured = measure(self.model, self.pixels[known])
            set_moments(self.model, blend(self._before, measured, weight))

    def head(self) -> Head:
        weights, bias = self.model.get_layer(PROBABILITIES).get_weights()
        return Head(weights.astype(np.float64), bias.astype(np.float64))

    def use_head(self, head: Head) -> None:
        self.model.get_layer(PROBABILITIES).set_weights([head.weights, head.bias])


def moments(model: Any) -> Moments:
    """What the model's batch-norm layers hold."""
    return {
        layer.name: (np.asarray(layer.moving_mean), np.asarray(layer.moving_variance)) for layer in _normalising(model)
    }


def set_moments(model: Any, values: Moments) -> None:
    for layer in _normalising(model):
        mean, variance = values[layer.name]
        layer.moving_mean.assign(mean)
        layer.moving_variance.assign(variance)


def measure(model: Any, pixels: Pixels) -> Moments:
    """The statistics of these images alone, each layer's with those below it already exchanged; the model has them.

    Source: Li et al. 2016, "Revisiting Batch Normalization For Practical Domain Adaptation", arXiv:1603.04779.
    """
    layers = _normalising(model)
    kept = [(layer.momentum, layer.trainable) for layer in layers]
    try:
        for layer in layers:
            layer.momentum, layer.trainable = 0.0, True  # a frozen one would use what it holds
        model(pixels.astype(np.float32), training=True)
        return moments(model)
    finally:
        for layer, (momentum, trainable) in zip(layers, kept, strict=True):
            layer.momentum, layer.trainable = momentum, trainable


def blend(before: Moments, site: Moments, weight: float) -> Moments:
    """The statistics of a mixture of both, `weight` of it from the site.

    Source: few images give poor statistics, so the old ones are a prior: Schneider et al. 2020, arXiv:2006.16971.
    """
    mixed = {}
    for name, (mean, variance) in before.items():
        other_mean, other_variance = site[name]
        apart = weight * (1 - weight) * (other_mean - mean) ** 2
        mixed[name] = (
            np.asarray((1 - weight) * mean + weight * other_mean, np.float32),
            np.asarray((1 - weight) * variance + weight * other_variance + apart, np.float32),
        )
    return mixed


def _normalising(model: Any) -> list[Any]:
    return [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
