"""Keras models as .tflite files: float, half precision or whole numbers."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import tensorflow as tf

from hemaloop.errors import DataError
from hemaloop.model.parameters import FLOAT16, INT16X8
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
    converter = calibrated(model, calibration)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = tf.uint8
    converter.inference_output_type = tf.uint8
    return _convert(converter)


def to_int16x8(model: Any, calibration: Pixels) -> bytes:
    """Activations in 16 bits, weights in 8: finer, and slower, for XNNPACK has no kernels for it.

    Returns:
        The flatbuffer; input float32 (1, S, S, 3) in [0, 255] and output float32 (1, classes): 16-bit activations are
        symmetric about 0, so that a pixel would not be its own number.
    """
    converter = calibrated(model, calibration)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8]
    return _convert(converter)


def to_float16(model: Any) -> bytes:
    """Weights in half precision, computed with in single; input and output as `to_float`'s."""
    converter = _converter(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_types = [tf.float16]
    return _convert(converter)


def convert(model: Any, form: str, calibration: Pixels) -> bytes:
    """The model in one of parameters.FORMS."""
    if form == FLOAT16:
        return to_float16(model)
    return to_int16x8(model, calibration) if form == INT16X8 else to_int8(model, calibration)


def choose_calibration(training: Samples, images: int) -> Pixels:
    """Up to `images` of the training side, evenly spread over it and over the classes."""
    order = np.argsort(training.labels, kind="stable")
    positions = np.unique(np.linspace(0, len(training) - 1, min(images, len(training))).round().astype(np.intp))
    return training.take(order[positions])


def calibrated(model: Any, calibration: Pixels) -> Any:
    """A converter that measures activations' ranges on these images."""
    if len(calibration) == 0:
        raise DataError("quantising needs training images to measure activations on, got none")
    converter = _converter(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = representative(calibration)
    return converter


def representative(calibration: Pixels) -> Callable[[], Iterator[list[Any]]]:
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
    with quiet():
        return bytes(converter.convert())


@contextmanager
def quiet() -> Iterator[None]:
    """Without what TensorFlow Lite says about itself; what fails is shown."""
    with held_stderr(), warnings.catch_warnings():
        # It asks for statistics of the input although it is about to measure them.
        warnings.filterwarnings("ignore", "Statistics for quantized inputs")
        warnings.filterwarnings("ignore", r"\s*Warning: tf.lite.Interpreter is deprecated")
        warnings.filterwarnings("ignore", "Warning: Enabling `experimental_preserve_all_tensors`")
        yield
