"""Where in an image a network sees the class that it answers: class-activation maps.

A network whose last convolution is averaged and goes straight into the dense layer has an exact map: the class's score
is the mean of the map, plus the bias. Any other network gets Grad-CAM, whose weights are the mean gradients; one that
reads an image row by row keeps no places, and each row gets its values times their gradients.

Sources: Zhou et al. 2016, "Learning deep features for discriminative localization", arXiv:1512.04150, equation 2;
Selvaraju et al. 2017, "Grad-CAM", arXiv:1610.02391, equations 1 and 2; by row: Shrikumar et al. 2016,
arXiv:1605.01713, section 2.
"""

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from hemaloop.model.prepared import Pixels

Array = npt.NDArray[np.float32]

FEATURES, PROBABILITIES = "features", "probabilities"
EXACT, GRADIENT, BY_ROW = "class-activation map", "Grad-CAM", "gradient times input by image row"
_TRANSPARENT = (keras.layers.Dropout, keras.layers.ActivityRegularization)  # do nothing to an answer


@dataclass(frozen=True)
class Maps:
    """What spoke for a class, place by place."""

    method: str
    values: Array  # (n, h, w): 0 where nothing speaks for the class, 1 the image's strongest place


def explain(model: Any, pixels: Pixels, classes: npt.NDArray[np.intp]) -> Maps | None:
    """Maps of the given class of each image; None: the network keeps no places that could be shown.

    Args:
        model: keras.Model, input (N, S, S, 3) in [0, 255], last layer "probabilities".
        pixels: (n, S, S, 3) uint8.
        classes: (n,) index of the class to explain: the answer's, or another one.
    """
    images = pixels.astype(np.float32)
    tensor = averaged(model)
    if tensor is not None:
        return Maps(EXACT, normalised(exact_maps(model, tensor, images, classes)))
    layer = _last_with_places(model)
    if layer is None:
        return None
    found = gradient_maps(model, layer, images, classes)
    return Maps(GRADIENT if len(layer.output.shape) == 4 else BY_ROW, normalised(found))


def exact_maps(model: Any, tensor: Any, images: Array, classes: npt.NDArray[np.intp]) -> Array:
    """M_c(x, y) = sum_k w_kc f_k(x, y), (n, h, w); its mean plus the bias of c is c's score before the softmax.

    Args:
        tensor: what the global average pooling takes, a tensor of the model.
    """
    activations = _run(keras.Model(model.input, tensor), images)
    kernel = model.get_layer(PROBABILITIES).get_weights()[0]  # (features, classes)
    return np.asarray(np.einsum("nhwk,kn->nhw", activations, kernel[:, classes]), np.float32)


def averaged(model: Any) -> Any:
    """The tensor whose mean over places is what the dense layer sees, or None."""
    last = model.get_layer(PROBABILITIES)
    if not isinstance(last, keras.layers.Dense):
        return None
    producers = {id(layer.output): layer for layer in model.layers}
    source = producers.get(id(last.input))
    while isinstance(source, _TRANSPARENT):
        source = producers.get(id(source.input))
    return source.input if isinstance(source, keras.layers.GlobalAveragePooling2D) else None


def _last_with_places(model: Any) -> Any:
    """The last layer of activation maps (N, h, w, k) that learnt, else the image as rows (N, h, k), or None."""
    layers = model.layers[: model.layers.index(model.get_layer(PROBABILITIES))]
    learnt = next((place for place, layer in enumerate(layers) if layer.weights), len(layers))
    maps = [layer for layer in layers[learnt:] if len(layer.output.shape) == 4]
    rows = [layer for layer in layers if len(layer.output.shape) == 3]
    return next(iter((maps or rows)[::-1]), None)


def gradient_maps(model: Any, layer: Any, images: Array, classes: npt.NDArray[np.intp]) -> Array:
    """sum_k a_k f_k(x, y), a_k the mean over places of the score's gradient by f_k, (n, h, w); by row (n, h, 1)."""
    last = model.get_layer(PROBABILITIES)
    kernel, bias = (tf.constant(value) for value in last.get_weights())
    probe = keras.Model(model.input, [layer.output, last.input])
    pixels = tf.constant(images)
    with tf.GradientTape() as tape:
        tape.watch(pixels)  # else frozen layers would leave no trace
        activations, features = probe(pixels, training=False)
        scores = tf.gather(tf.matmul(features, kernel) + bias, classes, axis=1, batch_dims=1)
    gradients = np.asarray(tape.gradient(scores, activations))
    if gradients.ndim == 3:
        return np.asarray((gradients * np.asarray(activations)).sum(axis=2, keepdims=True), np.float32)
    weights = gradients.mean(axis=(1, 2), keepdims=True)
    return np.asarray((weights * np.asarray(activations)).sum(axis=3), np.float32)


def _run(model: Any, images: Array) -> Array:
    return np.asarray(model(images, training=False))


def normalised(maps: Array) -> Array:
    """What speaks for the class, as a share of the image's largest; an image where nothing does stays 0."""
    positive = np.maximum(maps, 0)
    largest = positive.max(axis=(1, 2), keepdims=True)
    return np.asarray(positive / np.where(largest > 0, largest, 1), np.float32)
