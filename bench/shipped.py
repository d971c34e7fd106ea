"""The model that params.yaml ships, on this machine, against float MobileNetV2 1.0 at 224: latency, size and memory.

Both in turns, each in a process of its own, one thread, decoding included: as `hemaloop-device bench` does on a Pi.
Latency, size and memory hang on the form of a network, not on what it has learned: the weights are random. Pruning is
left out, so a shipped model is, if anything, smaller.

    python -m bench.shipped FOLDER     writes both models, for `hemaloop-device bench --against` on a device
"""

import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from bench.images import fields
from bench.ratio import Ratio
from hemaloop.device.benchmark import compare
from hemaloop.inference.metadata import ModelMetadata, attach
from hemaloop.model.parameters import TrainParams
from hemaloop.model.runtime import start_tensorflow

REFERENCE, SHIPPED = "mobilenetv2-1.0-224-float.tflite", "shipped.tflite"
CLASSES = ("basophil", "eosinophil", "lymphocyte", "monocyte", "neutrophil")
SIZE_PX, REFERENCE_PX = 128, 224
PARAMS = TrainParams(
    seed=7, weights="random", alpha=0.35, batch_images=32, head_epochs=1, head_learning_rate=0.003,
    epochs=1, learning_rate=0.0003, first_block=3, dropout=0.2, label_smoothing=0.05,
)  # fmt: skip
GOALS = {"latency": 0.5, "size": 0.1, "memory": 0.9}  # decoding takes as long for both
IMAGES = 5


def run() -> list[Ratio]:
    told, images = fields(IMAGES)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        write_models(folder)
        paths = [folder / f"{number}.jpg" for number in range(len(images))]
        for path, data in zip(paths, images, strict=True):
            path.write_bytes(data)
        ours, theirs = compare(folder / SHIPPED, folder / REFERENCE, paths)
    assert theirs is not None
    of = f"float MobileNetV2 1.0 at {REFERENCE_PX}"
    return [
        Ratio(f"ms of an image ({told})", ours.latency_ms, theirs.latency_ms, of, GOALS["latency"]),
        Ratio("MB of the file", ours.size_bytes / 1e6, theirs.size_bytes / 1e6, of, GOALS["size"]),
        Ratio("MB of the process, at most", ours.memory_mb, theirs.memory_mb, of, GOALS["memory"]),
    ]


def write_models(folder: Path) -> None:
    """Both, with their cards."""
    start_tensorflow(seed=7)
    from hemaloop.model.quantisation.conversion import to_float, to_int8

    noise = np.random.default_rng(7).integers(0, 256, (20, SIZE_PX, SIZE_PX, 3), np.uint8)
    shipped = to_int8(_network(PARAMS, SIZE_PX), noise)
    reference = to_float(_network(replace(PARAMS, alpha=1.0), REFERENCE_PX))
    (folder / SHIPPED).write_bytes(attach(shipped, ModelMetadata(CLASSES, SIZE_PX)))
    (folder / REFERENCE).write_bytes(attach(reference, ModelMetadata(CLASSES, REFERENCE_PX)))


def _network(params: TrainParams, size_px: int) -> Any:
    from hemaloop.model.networks import catalogue
    from hemaloop.model.networks.ends import CENTRED

    return catalogue.build(params, size_px, len(CLASSES), CENTRED)


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    write_models(folder)
