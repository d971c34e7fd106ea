"""The yardstick of latency: float MobileNetV2 1.0 at 224 px, made once; milliseconds mean little between machines."""

import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from hemaloop.files import write_atomically
from hemaloop.imaging.decode import Image
from hemaloop.inference.classifier import Classifier
from hemaloop.inference.metadata import ModelMetadata, attach
from hemaloop.inference.preprocess import preprocess
from hemaloop.model.evaluation.latency import compare
from hemaloop.model.runtime import held_stderr

SIZE_PX, ALPHA, CLASSES = 224, 1.0, ("a", "b", "c", "d")
_YARDSTICK, _NETWORK, _STEPS = "yardstick", "network:", "steps:"


def reference(folder: Path, root: Path) -> Path:
    """The file, made by a process of its own where it is not there yet: TensorFlow stays out of this one."""
    path = folder / "mobilenetv2-1.0-224.tflite"
    if not path.exists():
        subprocess.run([sys.executable, "-m", "papers.reference", str(path.absolute())], cwd=root, check=True)
    return path


@dataclass(frozen=True)
class Faster:
    """How many times faster than the yardstick, one thread, in one run."""

    network: float  # on a prepared image, as the papers measure
    whole: float  # with the preprocessing of the image that the camera gave


def times_faster(reference: Path, files: Mapping[str, Path], image: Image, runs: int) -> dict[str, Faster]:
    """Every file against the yardstick, taking turns. Args: image: RGB uint8 (H, W, 3), a camera's."""
    with held_stderr():
        models = {name: Classifier(path.read_bytes(), threads=1) for name, path in files.items()}
        yardstick = Classifier(reference.read_bytes(), threads=1)
    calls: dict[str, Callable[[], object]] = {_NETWORK + name: _network(model) for name, model in models.items()}
    calls |= {_STEPS + name: partial(preprocess, image, each.metadata.preprocessing) for name, each in models.items()}
    taken = compare(runs, calls | {_YARDSTICK: _network(yardstick)})
    most = taken[_YARDSTICK]
    return {
        name: Faster(
            round(most / taken[_NETWORK + name], 3), round(most / (taken[_NETWORK + name] + taken[_STEPS + name]), 3)
        )
        for name in files
    }


def _network(model: Classifier) -> Callable[[], object]:
    size = model.metadata.size_px
    return partial(model.probabilities, np.random.default_rng(0).integers(0, 256, (1, size, size, 3), np.uint8))


def make(path: Path) -> None:
    """With random weights: they change no time."""
    from hemaloop.model.runtime import start_tensorflow

    start_tensorflow(seed=0)
    from hemaloop.model.networks.mobilenetv2 import build, full_widths
    from hemaloop.model.quantisation.conversion import to_float

    model = build(SIZE_PX, len(CLASSES), ALPHA, full_widths(ALPHA))
    write_atomically(path, attach(to_float(model), ModelMetadata(CLASSES, SIZE_PX)))


if __name__ == "__main__":
    make(Path(sys.argv[1]))
