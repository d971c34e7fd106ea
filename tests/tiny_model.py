"""A classifier small enough to build in a test: mean colour -> dense -> softmax, as a real .tflite.

Class i of three is the one whose channel (red, green, blue) is brightest.
"""

import cv2
import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

SIZE_PX = 16
CLASSES = ("lymphocyte", "monocyte", "neutrophil")


def png(channel: int) -> bytes:
    """A field whose brightest channel is the given one of red, green, blue: an image of the class of that number."""
    field = np.full((SIZE_PX, SIZE_PX, 3), 40, np.uint8)
    field[:, :, 2 - channel] = 200
    encoded, data = cv2.imencode(".png", field)
    assert encoded
    return data.tobytes()


def tiny_tflite(gain: float = 0.05) -> bytes:
    """Input float32 (1, 16, 16, 3) in [0, 255]; output float32 (1, 3). `gain` changes how sure it is."""
    model = schema.ModelT()
    model.version = 3
    model.buffers = [_buffer(b"")]
    graph = schema.SubGraphT()
    graph.tensors = [
        _tensor(model, "image", [1, SIZE_PX, SIZE_PX, 3]),
        _constant(model, "axes", np.array([1, 2], np.int32)),
        _tensor(model, "mean", [1, 3]),
        _constant(model, "weights", (np.eye(3) * gain).astype(np.float32)),
        _tensor(model, "logits", [1, 3]),
        _tensor(model, "probabilities", [1, 3]),
    ]
    graph.inputs, graph.outputs = [0], [5]
    softmax = schema.SoftmaxOptionsT()
    softmax.beta = 1.0
    graph.operators = [
        _operator(model, schema.BuiltinOperator.MEAN, [0, 1], 2, schema.ReducerOptionsT()),
        _operator(model, schema.BuiltinOperator.FULLY_CONNECTED, [2, 3, -1], 4, schema.FullyConnectedOptionsT()),
        _operator(model, schema.BuiltinOperator.SOFTMAX, [4], 5, softmax),
    ]
    model.subgraphs = [graph]
    builder = flatbuffers.Builder(4096)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _buffer(data: bytes) -> schema.BufferT:
    buffer = schema.BufferT()
    if data:
        buffer.data = np.frombuffer(data, np.uint8)
    return buffer


def _tensor(model: schema.ModelT, name: str, shape: list[int]) -> schema.TensorT:
    tensor = schema.TensorT()
    tensor.name, tensor.shape, tensor.type, tensor.buffer = name, shape, schema.TensorType.FLOAT32, 0
    return tensor


def _constant(model: schema.ModelT, name: str, values: np.ndarray) -> schema.TensorT:
    model.buffers.append(_buffer(values.tobytes()))
    tensor = _tensor(model, name, list(values.shape))
    tensor.buffer = len(model.buffers) - 1
    tensor.type = schema.TensorType.INT32 if values.dtype == np.int32 else schema.TensorType.FLOAT32
    return tensor


def _operator(model: schema.ModelT, code: int, inputs: list[int], output: int, options: object) -> schema.OperatorT:
    names = {
        schema.ReducerOptionsT: schema.BuiltinOptions.ReducerOptions,
        schema.FullyConnectedOptionsT: schema.BuiltinOptions.FullyConnectedOptions,
        schema.SoftmaxOptionsT: schema.BuiltinOptions.SoftmaxOptions,
    }
    kind = schema.OperatorCodeT()
    kind.builtinCode, kind.deprecatedBuiltinCode, kind.version = code, code, 1
    model.operatorCodes = [*(model.operatorCodes or []), kind]
    operator = schema.OperatorT()
    operator.opcodeIndex = len(model.operatorCodes) - 1
    operator.inputs, operator.outputs = inputs, [output]
    operator.builtinOptionsType, operator.builtinOptions = names[type(options)], options
    return operator
