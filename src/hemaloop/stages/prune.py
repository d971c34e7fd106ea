"""models/trained.keras -> models/pruned.keras, evaluation/{pruning.json, pruning.csv}.

Where training again stands is kept in models/checkpoints/prune (outside of DVC) until it ends.
"""

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hemaloop.config import read_classes, read_section
from hemaloop.model.augmentation import AugmentParams
from hemaloop.model.parameters import NO_PRUNING, RANDOM, PruneParams, TrainParams
from hemaloop.model.prepared import TRAIN, VALIDATION, Samples, read_prepared, write_rows
from hemaloop.model.runtime import start_tensorflow
from hemaloop.model.validation import macro_sensitivity
from hemaloop.stages.runner import progress, run

if TYPE_CHECKING:
    from hemaloop.model.fitting import Epoch
    from hemaloop.model.pruning.methods import Pruned

DIGITS = 6
PARENT = Path("models/trained.keras")
CHECKPOINTS = Path("models/checkpoints/prune")


def main() -> None:
    params = read_section(Path("params.yaml"), "prune", PruneParams)
    trained = read_section(Path("params.yaml"), "train", TrainParams)
    classes = read_classes(Path("params.yaml"))
    prepared = read_prepared(Path("data/prepared"))
    training, validation = (prepared.side(side, classes) for side in (TRAIN, VALIDATION))
    start_tensorflow(params.seed)
    from hemaloop.model.fitting import Epoch
    from hemaloop.model.pruning.methods import prune
    from hemaloop.model.saved import load

    parent = load(PARENT)
    pruned = prune(parent, training, params)
    curves = [] if params.method == NO_PRUNING else _retrain(pruned, parent, training, validation, params, trained)
    pruned.model.save("models/pruned.keras")
    figures = {"method": params.method, **_size(pruned, parent), **_performance(pruned.model, parent, validation)}
    Path("evaluation/pruning.json").write_text(json.dumps(figures, indent=2) + "\n")
    write_rows(Path("evaluation/pruning.csv"), curves, Epoch)
    print(f"pruned ({params.method}) {parent.count_params():,} parameters to {pruned.model.count_params():,}")


def _retrain(
    pruned: "Pruned", parent: Any, training: Samples, validation: Samples, params: PruneParams, trained: TrainParams
) -> "list[Epoch]":
    """Train all that is left, with the images, the labels and, where it is asked, the parent's answers."""
    from hemaloop.model.checkpoints import Checkpoints, fingerprint
    from hemaloop.model.fitting import Plan, Session, fine_tune
    from hemaloop.model.pruning.methods import learner_of

    augmentation = read_section(Path("params.yaml"), "augment", AugmentParams)
    plan = Plan(
        "pruned", params.epochs, params.learning_rate, params.batch_images, trained.label_smoothing, params.seed,
        augmentation=augmentation, confidence_penalty=trained.confidence_penalty,
    )  # fmt: skip
    content = hashlib.sha256(PARENT.read_bytes()).hexdigest()
    settings = (params, trained, augmentation, content)
    checkpoints = Checkpoints(CHECKPOINTS, fingerprint((training, validation), *settings))
    checkpoints.forget_others()
    wrap = learner_of(pruned, parent, params)
    statistics = trained.weights == RANDOM or trained.batch_norm
    with progress({plan.phase: plan.epochs}) as told:
        session = Session(checkpoints, told)
        curves = fine_tune(pruned.model, training, validation, 0, plan, statistics, wrap, session)
    checkpoints.forget()
    return curves


def _size(pruned: "Pruned", parent: Any) -> dict[str, Any]:
    """What was taken; S1's sparsity S = pruned / total and theta where single weights were."""
    figures: dict[str, Any] = {
        "parameters": {"before": parent.count_params(), "after": pruned.model.count_params()},
        "channels": {
            "before": sum(cut.before for cut in pruned.cuts),
            "after": sum(cut.after for cut in pruned.cuts),
        },
        "layers": {cut.layer: {"before": cut.before, "after": cut.after} for cut in pruned.cuts},
    }
    if pruned.masks is not None:
        masks = pruned.masks
        figures["magnitude"] = {
            "theta": masks.theta, "pruned": masks.pruned, "total": masks.total, "sparsity": masks.sparsity,
        }  # fmt: skip
    return figures


def _performance(model: Any, parent: Any, validation: Samples) -> dict[str, Any]:
    """Macro sensitivity on the validation side: P_original, P_pruned, and Delta P = P_original - P_pruned.

    Source: Mahale et al. 2025, JISEM 10(10s), which leaves open what P is.
    """
    from hemaloop.model.fitting import predict

    original, left = (macro_sensitivity(validation.labels, predict(each, validation)) for each in (parent, model))
    return {
        "validation_macro_sensitivity": {"original": round(original, DIGITS), "pruned": round(left, DIGITS)},
        "delta_p": round(original - left, DIGITS),
    }


if __name__ == "__main__":
    run(main)
