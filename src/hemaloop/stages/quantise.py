"""models/{trained,pruned}.keras -> models/{float,pruned,model,unpruned}.tflite, evaluation/quantisation.{json,csv}."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hemaloop.config import read_classes, read_section
from hemaloop.files import write_atomically
from hemaloop.inference.metadata import ModelMetadata, attach
from hemaloop.model.parameters import QuantiseParams
from hemaloop.model.prepared import TRAIN, VALIDATION, read_prepared, write_rows
from hemaloop.model.preprocessing import PrepareParams
from hemaloop.model.runtime import start_tensorflow
from hemaloop.stages.runner import run

if TYPE_CHECKING:
    from hemaloop.model.quantisation.shipping import Shipped


def main() -> None:
    params = read_section(Path("params.yaml"), "quantise", QuantiseParams)
    preprocessing = read_section(Path("params.yaml"), "prepare", PrepareParams).preprocessing
    classes = read_classes(Path("params.yaml"))
    prepared = read_prepared(Path("data/prepared"))
    training, validation = (prepared.side(side, classes) for side in (TRAIN, VALIDATION))
    metadata = ModelMetadata(classes, prepared.size_px, preprocessing.steps)
    start_tensorflow(seed=0)  # nothing here is drawn by chance
    from hemaloop.model.quantisation.conversion import choose_calibration, convert, to_float
    from hemaloop.model.quantisation.layers import LayerError
    from hemaloop.model.quantisation.shipping import ship
    from hemaloop.model.saved import load
    from hemaloop.model.tempering import temper

    calibration = choose_calibration(training, params.calibration_images)
    trained, pruned = (load(Path(f"models/{name}.keras")) for name in ("trained", "pruned"))
    temperatures = {"float": temper(trained, validation), "shipped": temper(pruned, validation)}
    floating = to_float(pruned)
    shipped = ship(pruned, floating, calibration, validation, metadata, params)
    files = {
        "float": to_float(trained),
        "pruned": floating,
        "model": shipped.content,
        # What would ship had nothing been pruned: only against this file can pruning be said to pay.
        "unpruned": convert(trained, params.form, calibration),
    }
    for name, content in files.items():
        write_atomically(Path(f"models/{name}.tflite"), attach(content, metadata))
    sizes = {name: len(content) for name, content in files.items()}
    figures = {"form": params.form, "bytes": sizes, "temperature": temperatures}
    Path("evaluation/quantisation.json").write_text(json.dumps(figures | _account(shipped), indent=2) + "\n")
    write_rows(Path("evaluation/quantisation.csv"), shipped.errors, LayerError)
    _tell(shipped, files, params)


def _account(shipped: "Shipped") -> dict[str, Any]:
    """What the form lost on the validation side, and what was done about it."""
    return {
        "validation_drop": shipped.drop,
        "within_allowed_drop": shipped.within,
        "kept_finer": [error.layer for error in shipped.kept_finer],
        "tried": [{"layers": attempt.layers, "drop": attempt.drop} for attempt in shipped.tried],
    }


def _tell(shipped: "Shipped", files: dict[str, bytes], params: QuantiseParams) -> None:
    print("quantised: " + ", ".join(f"{name}.tflite {len(content) / 1e6:.2f} MB" for name, content in files.items()))
    if shipped.kept_finer:
        print("kept in float: " + ", ".join(error.layer for error in shipped.kept_finer))
    if not shipped.within:
        print(
            f"{params.form} still loses {shipped.drop:g} of macro sensitivity on the validation side, "
            f"{params.allowed_drop:g} is allowed: raise quantise.finer_layers, or choose another quantise.form"
        )


if __name__ == "__main__":
    run(main)
