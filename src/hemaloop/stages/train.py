"""data/prepared -> models/trained.keras, evaluation/training.csv."""

from pathlib import Path

from hemaloop.config import read_classes, read_section
from hemaloop.model.augmentation import AugmentParams
from hemaloop.model.parameters import TrainParams
from hemaloop.model.prepared import TRAIN, VALIDATION, read_prepared, write_rows
from hemaloop.model.runtime import start_tensorflow
from hemaloop.stages.runner import run


def main() -> None:
    params = read_section(Path("params.yaml"), "train", TrainParams)
    augmentation = read_section(Path("params.yaml"), "augment", AugmentParams)
    classes = read_classes(Path("params.yaml"))
    prepared = read_prepared(Path("data/prepared"))
    training, validation = (prepared.side(side, classes) for side in (TRAIN, VALIDATION))
    start_tensorflow(params.seed)
    from hemaloop.model.fitting import Epoch
    from hemaloop.model.training import train

    model, curves = train(training, validation, prepared.size_px, classes, params, augmentation)
    Path("models").mkdir(exist_ok=True)
    Path("evaluation").mkdir(exist_ok=True)
    model.save("models/trained.keras")
    write_rows(Path("evaluation/training.csv"), curves, Epoch)
    best = min(curves, key=lambda epoch: epoch.val_loss)
    print(f"trained on {len(training)} images: best epoch {best.epoch}, validation accuracy {best.val_accuracy:.3f}")


if __name__ == "__main__":
    run(main)
