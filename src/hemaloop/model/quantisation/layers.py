"""What eight bits do to each layer, and an int8 file with some layers left in float."""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf
from tensorflow.lite.python.util import modify_model_io_type

from hemaloop.model.prepared import Pixels
from hemaloop.model.quantisation.conversion import calibrated, quiet

Array = npt.NDArray[Any]

debugging = tf.lite.experimental
POWER = "mean_square"
WEIGHTED = ("convolution", "depthwise", "MatMul")  # what Keras calls the operation of a layer with a kernel
OUTPUT = "Identity"  # the converter's name for what the model answers
SILENT_DB = 120.0  # what a layer without any error is given; float32 itself has about 144


@dataclass(frozen=True)
class LayerError:
    """One operation of the int8 file, given the same (quantised) input in int8 and in float."""

    layer: str  # Keras's name
    operation: str  # as TensorFlow Lite calls it
    scale: float  # the step of its output
    rmse_over_scale: float  # rounding alone gives 0.29, 1 / sqrt(12); clipping and coarse weights give more
    sqnr_db: float  # 10 log10(mean square of the float output / of the error)
    tensor: str  # the output's name in the file


class Layers:
    """A model's layers in eight bits: how wrong each is, and the int8 file with some of them left in float.

    TensorFlow Lite's debugger puts a float copy of every operation beside the int8 one. Activations are measured once.
    """

    def __init__(self, model: Any, calibration: Pixels) -> None:
        """`calibration`: training images (M, S, S, 3) uint8, as `to_int8` takes them."""
        with quiet():
            self._debugger = debugging.QuantizationDebugger(
                converter=calibrated(model, calibration), debug_options=debugging.QuantizationDebugOptions()
            )

    def errors(self, images: Pixels) -> tuple[LayerError, ...]:
        """Every operation in the order of the file, over `images` (N, S, S, 3) uint8."""
        options = debugging.QuantizationDebugOptions(layer_direct_compare_metrics={POWER: _power})
        with quiet():
            self._debugger.options = debugging.QuantizationDebugOptions()  # nothing is kept float, whatever was before
            # Only a debugger of a file keeps the float copies' outputs until they are read.
            debugger = debugging.QuantizationDebugger(
                quant_debug_model_content=self._debugger.get_debug_quantized_model(),
                debug_dataset=lambda: ([image[np.newaxis].astype(np.float32)] for image in images),
                debug_options=options,
            )
            debugger.run()
        table = io.StringIO()
        debugger.layer_statistics_dump(table)
        return tuple(_error(row) for row in csv.DictReader(io.StringIO(table.getvalue())))

    def keep_float(self, errors: Sequence[LayerError]) -> bytes:
        """An int8 file in which these operations stay float.

        Input and output are uint8 as in `to_int8`, but where the first or the last operation is one of these: then the
        input is the pixel as float32, or the output float32.
        """
        options = debugging.QuantizationDebugOptions(denylisted_nodes=[error.tensor for error in errors])
        with quiet():
            self._debugger.options = options
            content = self._debugger.get_nondebug_quantized_model()
            return bytes(modify_model_io_type(content, tf.uint8, tf.uint8))


def worst(errors: Sequence[LayerError]) -> tuple[LayerError, ...]:
    """Those that err, the one whose error is largest beside what it passes on first; a pool only passes on."""
    return tuple(sorted((each for each in errors if each.sqnr_db < SILENT_DB), key=lambda each: each.sqnr_db))


def _power(floating: Array, _quantised: Array, _scale: float, _zero_point: int) -> float:
    return float(np.mean(np.square(floating, dtype=np.float64)))


def _error(row: Mapping[str, str]) -> LayerError:
    error, power, scale = float(row["mean_squared_error"]), float(row[POWER]), float(row["scale"])
    ratio = 10 * math.log10(power / error) if power > 0 and error > 0 else SILENT_DB
    return LayerError(
        layer=_layer(row["tensor_name"], row["op_name"]),
        operation=row["op_name"],
        scale=scale,
        rmse_over_scale=math.sqrt(error) / scale,
        sqnr_db=min(ratio, SILENT_DB),
        tensor=row["tensor_name"],
    )


def _layer(tensor: str, operation: str) -> str:
    """Keras's name of the layer with the weights in a tensor's: 'out_relu_1/Relu6;Conv_1_1/convolution1' is Conv_1."""
    parts = [part.split("/") for part in tensor.split(";")]
    weighted = [part for part in parts if part[-1].rstrip("0123456789") in WEIGHTED]
    name = (weighted or parts)[0][0].removesuffix("_1")
    return operation.lower() if name == OUTPUT else name
