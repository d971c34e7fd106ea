"""data/prepared -> models/trained.keras, evaluation/{training.csv, training.json}.

Where it stands is kept in models/checkpoints/train (outside of DVC) until it ends: killed, it goes on from there.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hemaloop.config import read_classes, read_section
from hemaloop.model.augmentation import AugmentParams
from hemaloop.model.parameters import TrainParams
from hemaloop.model.prepared import TRAIN, VALIDATION, read_prepared, write_rows
from hemaloop.model.runtime import start_tensorflow
from hemaloop.stages.runner import progress, run

if TYPE_CHECKING:
    from hemaloop.model.fitting import Epoch

CHECKPOINTS = Path("models/checkpoints/train")


def main() -> None:
    params = read_section(Path("params.yaml"), "train", TrainParams)
    augmentation = read_section(Path("params.yaml"), "augment", AugmentParams)
    classes = read_classes(Path("params.yaml"))
    prepared = read_prepared(Path("data/prepared"))
    training, validation = (prepared.side(side, classes) for side in (TRAIN, VALIDATION))
    start_tensorflow(params.seed)
    from hemaloop.model.checkpoints import Checkpoints, fingerprint
    from hemaloop.model.fitting import Epoch, Session
    from hemaloop.model.training import train
    from hemaloop.model.weights import describe

    weights = describe(params)
    settings = (params, augmentation, classes, prepared.statistics, weights)
    checkpoints = Checkpoints(CHECKPOINTS, fingerprint((training, validation), *settings))
    checkpoints.forget_others()
    with progress({"head": params.head_epochs, "blocks": params.epochs}) as told:
        session = Session(checkpoints, told)
        model, curves = train(
            training, validation, prepared.size_px, classes, params, augmentation, prepared.statistics, session
        )
    Path("models").mkdir(exist_ok=True)
    Path("evaluation").mkdir(exist_ok=True)
    model.save("models/trained.keras")
    write_rows(Path("evaluation/training.csv"), curves, Epoch)
    figures = {"network": params.network, **describe(params), "parameters": model.count_params(), **_best(curves)}
    Path("evaluation/training.json").write_text(json.dumps(figures, indent=2) + "\n")
    checkpoints.forget()
    best = min(curves, key=lambda epoch: epoch.val_loss)
    print(f"trained on {len(training)} images: best epoch {best.epoch}, validation accuracy {best.val_accuracy:.3f}")


def _best(curves: "list[Epoch]") -> dict[str, Any]:
    best = min(curves, key=lambda epoch: epoch.val_loss)
    return {"epochs": len(curves), "best_epoch": best.epoch, "best_val_loss": best.val_loss}


if __name__ == "__main__":
    run(main)
