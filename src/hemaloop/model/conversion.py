"""Keras models as .tflite files, float or full integer."""

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from hemaloop.errors import DataError
from hemaloop.model.prepared import Pixels, Samples
from hemaloop.model.runtime import held_stderr


def to_float(model: Any) -> bytes:
    """The model as it is: input float32 (1, S, S, 3) in [0, 255], output float32 (1, classes)."""
    return _convert(_converter(model))


def to_int8(model: Any, calibration: Pixels) -> bytes:
    """A full-integer model: weights per channel, activations per tensor.

    Args:
        model: input (N, S, S, 3) float32 in [0, 255].
        calibration: training images (M, S, S, 3) uint8, that activations' ranges are measured on.

    Returns:
        The flatbuffer; input uint8 (1, S, S, 3), the pixel itself (scale 1, zero point 0); output uint8 (1, classes).

    Source: Jacob et al. 2018, arXiv:1712.05877.
    """
    if len(calibration) == 0:
        raise DataError("quantising needs training images to measure activations on, got none")
    converter = _converter(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = _representative(calibration)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = tf.uint8
    converter.inference_output_type = tf.uint8
    return _convert(converter)


def choose_calibration(training: Samples, images: int) -> Pixels:
    """Up to `images` of the training side, evenly spread over it and over the classes."""
    order = np.argsort(training.labels, kind="stable")
    positions = np.unique(np.linspace(0, len(training) - 1, min(images, len(training))).round().astype(np.intp))
    return training.take(order[positions])


def _representative(calibration: Pixels) -> Callable[[], Iterator[list[Any]]]:
    """Images one at a time; one has a black and a white pixel, so that the input's range is the pixels' range."""
    first = calibration[0].copy()
    first[0, 0], first[0, 1] = 0, 255

    def images() -> Iterator[list[Any]]:
        for image in (first, *calibration[1:]):
            yield [image[np.newaxis].astype(np.float32)]

    return images


def _converter(model: Any) -> Any:
    """A converter of the network for one image at a time, its weights as constants.

    The fixed shape makes fewer and faster operations. `from_keras_model` gives the same network, but saves the model
    to a folder first and reads it back, which takes three times as long.
    """
    learnt = [tf.constant(variable.numpy()) for variable in model.trainable_variables]
    fixed = [tf.constant(variable.numpy()) for variable in model.non_trainable_variables]

    @tf.function(input_signature=[tf.TensorSpec((1, *model.input.shape[1:]), tf.float32, name="pixels")])  # type: ignore[untyped-decorator]
    def answer(pixels: Any) -> dict[str, Any]:
        return {"probabilities": model.stateless_call(learnt, fixed, pixels, training=False)[0]}

    return tf.lite.TFLiteConverter.from_concrete_functions([answer.get_concrete_function()], answer)


def _convert(converter: Any) -> bytes:
    with held_stderr(), warnings.catch_warnings():
        # It asks for statistics of the input although it is about to measure them.
        warnings.filterwarnings("ignore", "Statistics for quantized inputs")
        return bytes(converter.convert())
