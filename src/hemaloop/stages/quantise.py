"""models/{trained,pruned}.keras -> models/{float,pruned,model}.tflite, each with its metadata."""

from pathlib import Path

from hemaloop.config import read_classes, read_section
from hemaloop.files import write_atomically
from hemaloop.inference.metadata import ModelMetadata, attach
from hemaloop.model.parameters import QuantiseParams
from hemaloop.model.prepared import TRAIN, read_prepared
from hemaloop.model.runtime import start_tensorflow
from hemaloop.stages.runner import run


def main() -> None:
    params = read_section(Path("params.yaml"), "quantise", QuantiseParams)
    classes = read_classes(Path("params.yaml"))
    prepared = read_prepared(Path("data/prepared"))
    train = prepared.side(TRAIN, classes)
    start_tensorflow(seed=0)  # nothing here is drawn by chance
    from hemaloop.model.conversion import choose_calibration, to_float, to_int8
    from hemaloop.model.saved import load

    pruned = load(Path("models/pruned.keras"))
    files = {
        "float": to_float(load(Path("models/trained.keras"))),
        "pruned": to_float(pruned),
        "model": to_int8(pruned, choose_calibration(train, params.calibration_images)),
    }
    metadata = ModelMetadata(classes, prepared.size_px)
    for name, content in files.items():
        write_atomically(Path(f"models/{name}.tflite"), attach(content, metadata))
    print("quantised: " + ", ".join(f"{name}.tflite {len(content) / 1e6:.2f} MB" for name, content in files.items()))


if __name__ == "__main__":
    run(main)
