"""What a network's channels do over the training images."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from hemaloop.model.prepared import Samples
from hemaloop.model.pruning.criterion import Activity
from hemaloop.model.pruning.units import Unit

MEASURED_AT_ONCE = 32


def measure(model: Any, units: Sequence[Unit], training: Samples) -> list[Activity]:
    """Mean and standard deviation of each unit's channels over images, and over places where all share the weights."""
    # The moments are part of the network, so that no activation map leaves it.
    moments = [_averaged(value) for unit in units for value in _powers(model.get_layer(unit.source).output)]
    probe = keras.Model(model.input, moments)
    probe.compile(jit_compile=False)
    sums = [np.zeros(moment.shape[1]) for moment in moments]
    for pixels in training.batches(MEASURED_AT_ONCE):
        full = np.resize(pixels, (MEASURED_AT_ONCE, *pixels.shape[1:])).astype(np.float32)
        for total, values in zip(sums, probe.predict_on_batch(full), strict=True):
            total += np.asarray(values[: len(pixels)], np.float64).sum(axis=0)
    means = [total / len(training) for total in sums]
    return [_activity(mean, square) for mean, square in zip(means[::2], means[1::2], strict=True)]


def _powers(output: Any) -> tuple[Any, Any]:
    return output, keras.ops.square(output)


def _averaged(output: Any) -> Any:
    return keras.ops.mean(output, axis=(1, 2)) if len(output.shape) == 4 else output


def _activity(mean: npt.NDArray[np.float64], square: npt.NDArray[np.float64]) -> Activity:
    variance = np.maximum(square - mean**2, 0)
    return Activity(mean.astype(np.float32), np.sqrt(variance).astype(np.float32))
