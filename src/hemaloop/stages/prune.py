"""models/trained.keras -> models/pruned.keras, evaluation/{pruning.json, pruning.csv}."""

import json
from pathlib import Path

from hemaloop.config import read_classes, read_section
from hemaloop.model.parameters import RANDOM, PruneParams, TrainParams
from hemaloop.model.prepared import TRAIN, VALIDATION, read_prepared, write_rows
from hemaloop.model.runtime import start_tensorflow
from hemaloop.stages.runner import run


def main() -> None:
    params = read_section(Path("params.yaml"), "prune", PruneParams)
    trained = read_section(Path("params.yaml"), "train", TrainParams)
    classes = read_classes(Path("params.yaml"))
    prepared = read_prepared(Path("data/prepared"))
    training, validation = (prepared.side(side, classes) for side in (TRAIN, VALIDATION))
    start_tensorflow(params.seed)
    from hemaloop.model.fitting import Epoch, Plan, fine_tune
    from hemaloop.model.pruning import prune
    from hemaloop.model.saved import load

    model = load(Path("models/trained.keras"))
    pruned = prune(model, trained.alpha, training, params.channels)
    plan = Plan(
        "pruned", params.epochs, params.learning_rate, params.batch_images, trained.label_smoothing, params.seed
    )
    curves = fine_tune(pruned.model, training, validation, 0, plan, statistics=trained.weights == RANDOM)
    pruned.model.save("models/pruned.keras")
    figures = {
        "parameters": {"before": model.count_params(), "after": pruned.model.count_params()},
        "channels": {"before": sum(pruned.widths_before), "after": sum(pruned.widths)},
    }
    Path("evaluation/pruning.json").write_text(json.dumps(figures, indent=2) + "\n")
    write_rows(Path("evaluation/pruning.csv"), curves, Epoch)
    print(f"pruned {model.count_params():,} parameters to {pruned.model.count_params():,}")


if __name__ == "__main__":
    run(main)
