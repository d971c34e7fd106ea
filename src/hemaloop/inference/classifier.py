"""Run a .tflite model on images."""

import threading
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

from hemaloop.errors import DataError
from hemaloop.imaging.decode import decode
from hemaloop.inference.metadata import read_metadata
from hemaloop.inference.preprocess import preprocess

_INPUTS = (np.uint8, np.int8, np.float32)


@dataclass(frozen=True)
class Answer:
    label: str
    probabilities: dict[str, float]  # in the order of the model's classes
    latency_ms: float  # decoding and preprocessing included


class Classifier:
    """One model, ready to answer. Threads may share it; they take turns.

    Raises:
        DataError: the model has no metadata, cannot be loaded, or does not fit its metadata.
    """

    def __init__(self, model: bytes, threads: int = 1) -> None:
        self.metadata = read_metadata(model)
        self._preprocessing = self.metadata.preprocessing
        self._lock = threading.Lock()
        try:
            self._interpreter = Interpreter(model_content=model, num_threads=threads)
            self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise DataError(f"model: LiteRT cannot load it: {error}") from error
        self._input = _only(self._interpreter.get_input_details(), "input")
        self._output = _only(self._interpreter.get_output_details(), "output")
        self._check_shapes()
        self._levels = _levels(self._input)

    def probabilities(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Answer a batch.

        The images go through one by one: a kernel may round differently at another batch size, and
        evaluation must see what the device answers.

        Args:
            pixels: RGB uint8 (N, S, S, 3) from `preprocess`.

        Returns:
            float32 (N, classes); each in [0, 1], in an integer model multiples of the output's scale.

        Raises:
            DataError: the pixels have another shape or type.
        """
        size = self.metadata.size_px
        if pixels.dtype != np.uint8 or pixels.shape[1:] != (size, size, 3):
            raise DataError(f"model input: wanted uint8 (N, {size}, {size}, 3), got {pixels.dtype} {pixels.shape}")
        answers = np.empty((len(pixels), len(self.metadata.classes)), np.float32)
        with self._lock:
            for index, image in enumerate(pixels):
                answers[index] = self._invoke(image)
        return answers

    def classify(self, data: bytes, um_per_px: float | None = None) -> Answer:
        """Answer one encoded image; `um_per_px`: its micrometres per pixel, where known.

        Raises:
            DataError: it cannot be decoded, or um_per_px is no scale.
        """
        start = time.perf_counter()
        pixels = self.prepare(data, um_per_px)
        answer = self.probabilities(pixels[np.newaxis])[0]
        latency_ms = 1000 * (time.perf_counter() - start)
        classes = self.metadata.classes
        probabilities = {name: float(value) for name, value in zip(classes, answer, strict=True)}
        return Answer(classes[int(answer.argmax())], probabilities, latency_ms)

    def prepare(self, data: bytes, um_per_px: float | None = None) -> NDArray[np.uint8]:
        """What the model sees of an encoded image, uint8 (S, S, 3). Raises: as `classify`."""
        return preprocess(decode(data), self._preprocessing, um_per_px)

    def _invoke(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        self._interpreter.set_tensor(self._input["index"], self._levels[image][np.newaxis])
        self._interpreter.invoke()
        raw = self._interpreter.get_tensor(self._output["index"])[0]
        scale, zero = self._output["quantization"]
        if not scale:
            return np.asarray(raw, np.float32)
        return np.asarray((raw.astype(np.float32) - zero) * np.float32(scale), np.float32)

    def _check_shapes(self) -> None:
        size, classes = self.metadata.size_px, len(self.metadata.classes)
        for tensor, wanted in ((self._input, [1, size, size, 3]), (self._output, [1, classes])):
            if list(tensor["shape"]) != wanted:
                raise DataError(f"model: {tensor['name']} is {list(tensor['shape'])}, its metadata say {wanted}")


def _only(tensors: list[dict[str, Any]], what: str) -> dict[str, Any]:
    if len(tensors) != 1:
        raise DataError(f"model: wanted one {what}, got {len(tensors)}")
    return tensors[0]


def _levels(tensor: dict[str, Any]) -> NDArray[Any]:
    """What the model takes for each of the 256 levels of a pixel: a table, so it is exact and quick.

    Source: real = scale * (integer - zero point), TFLite's 8-bit quantisation specification.
    """
    levels = np.arange(256, dtype=np.float32)
    dtype = tensor["dtype"]
    if dtype not in _INPUTS:
        raise DataError(f"model: wanted uint8, int8 or float32 input, got {np.dtype(dtype)}")
    if dtype is np.float32:
        return levels
    scale, zero = tensor["quantization"]
    if not scale:
        raise DataError("model: an integer input without a scale")
    limits = np.iinfo(dtype)
    return np.asarray(np.clip(np.rint(levels / np.float32(scale)) + zero, limits.min, limits.max), dtype)
