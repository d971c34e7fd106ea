"""The smallest real .tflite with an answer worth checking: the mean of each channel, as three classes' scores."""

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

SIZE_PX = 8
COLOURS = ("red", "green", "blue")

_TYPES = {"float32": schema.TensorType.FLOAT32, "uint8": schema.TensorType.UINT8, "int8": schema.TensorType.INT8}
_ZERO = {"uint8": 0, "int8": -128}


def mean_model(dtype: str, scale: float = 1.0, size_px: int = SIZE_PX) -> bytes:
    """Input (1, S, S, 3) and output (1, 3) of `dtype`; integers mean `scale` grey levels a step."""
    model = schema.ModelT()
    model.version = 3
    model.buffers = [schema.BufferT(), schema.BufferT()]
    model.buffers[1].data = np.frombuffer(np.array([1, 2], np.int32).tobytes(), np.uint8)
    axes = _tensor("axes", [2], schema.TensorType.INT32)
    axes.buffer = 1
    graph = schema.SubGraphT()
    graph.tensors = [
        _pixels("image", [1, size_px, size_px, 3], dtype, scale),
        axes,
        _pixels("mean", [1, 3], dtype, scale),
    ]
    graph.inputs, graph.outputs = [0], [2]
    kind = schema.OperatorCodeT()
    kind.builtinCode = kind.deprecatedBuiltinCode = schema.BuiltinOperator.MEAN
    kind.version = 2
    operator = schema.OperatorT()
    operator.opcodeIndex, operator.inputs, operator.outputs = 0, [0, 1], [2]
    operator.builtinOptionsType, operator.builtinOptions = (
        schema.BuiltinOptions.ReducerOptions,
        schema.ReducerOptionsT(),
    )
    graph.operators, model.operatorCodes, model.subgraphs = [operator], [kind], [graph]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _pixels(name: str, shape: list[int], dtype: str, scale: float) -> schema.TensorT:
    tensor = _tensor(name, shape, _TYPES[dtype])
    if dtype != "float32":
        tensor.quantization = schema.QuantizationParametersT()
        tensor.quantization.scale, tensor.quantization.zeroPoint = [scale], [_ZERO[dtype]]
    return tensor


def _tensor(name: str, shape: list[int], kind: int) -> schema.TensorT:
    tensor = schema.TensorT()
    tensor.name, tensor.shape, tensor.type, tensor.buffer = name, shape, kind, 0
    return tensor
