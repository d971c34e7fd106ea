"""What the stages might have written about a model, in the form in which they write it."""

from dataclasses import replace
from typing import Any

from hemaloop.inference.metadata import ModelMetadata
from hemaloop.model.report.findings import Answered, Findings

CLASSES = ("lymphocyte", "monocyte")
TABLES = (
    "answers", "class_scores", "training", "pruning_curve", "robustness", "subgroups", "risk_coverage", "reliability",
    "layers",
)  # fmt: skip


def figures(value: float) -> dict[str, float]:
    names = ("macro_sensitivity", "macro_specificity", "macro_auc", "accuracy", "ece", "brier")
    ends = {"": value, "_low": value - 0.01, "_high": value + 0.01}
    return {f"{name}{end}": each for name in names for end, each in ends.items()} | {"images": 4, "groups": 4}


def answer(number: int, actual: str, predicted: str, confidence: float, group: str = "patient:p") -> Answered:
    return Answered(f"{number:064x}", f"{group}{number}", actual, predicted, confidence)


ANSWERS = (
    answer(1, "lymphocyte", "lymphocyte", 0.9),
    answer(2, "lymphocyte", "monocyte", 0.8),
    answer(3, "monocyte", "monocyte", 0.7),
    answer(4, "monocyte", "lymphocyte", 0.95),
)


def macro(value: float) -> dict[str, float]:
    return {
        "macro_sensitivity": value,
        "macro_sensitivity_low": value - 0.02,
        "macro_sensitivity_high": value + 0.02,
        "images": 4,
    }


def examination() -> dict[str, Any]:
    """Sections as stage examine has them."""
    selected = {"coverage": 0.5, "risk": 0.0, "risk_low": 0.0, "risk_high": 0.25, "images": 4, "answered": 2}
    noise = {"images": 60, "auroc": 0.6, "auroc_low": 0.5, "auroc_high": 0.7, "auroc_entropy": 0.65, "let_through": 0.9,
             "let_through_low": 0.8, "let_through_high": 1.0}  # fmt: skip
    return {
        "leakage": {"exact": 0, "near": 0, "test_images": 4, "compared_with": 9, "pairs": []},
        "calibration": {"temperature": 1.2, "ece_test": 0.02, "ece_test_before": 0.05},
        "subgroups": {"fewest_images": 20, "worst": None, "site": "not recorded"},
        "robustness": {
            "images": 4, "clean": 0.9, "mean": 0.8, "mean_drop_points": 10.0, "worst": "blur 5",
            "worst_macro_sensitivity": 0.4,
        },
        "laboratories": {
            "images": 4, "clean": 0.9, "mean": 0.8, "mean_drop_points": 10.0, "worst": "stain_blue",
            "worst_drop_points": 12.5, "shifts": {"stain_blue": macro(0.775) | {"drop_points": 12.5}},
        },
        "shortcut": {
            "train_images": 9, "chance": 0.5, "colour_alone": macro(0.88), "model": macro(0.9),
            "model_on_grey": macro(0.6), "model_on_restained": macro(0.85), "grey_drop_points": 30.0,
            "restained_drop_points": 5.0,
        },
        "agreement": {
            "images": 4, "same_answers": 0.75, "kappa": 0.5, "kappa_low": 0.3, "kappa_high": 0.7,
            "largest_probability_difference": 0.3,
            "mean_probability_difference": 0.1, "mended": 0, "spoilt": 1,
        },
        "abstention": {"wanted_risk": 0.02, "threshold": 0.85, "validation": selected, "test": selected, "aurc": 0.1,
                       "aurc_low": 0.05, "aurc_high": 0.2},
        "out_of_distribution": {
            "score": "one minus the largest probability: no more is given", "kept_on_validation": 0.95,
            "threshold": 0.3, "known_images": 4, "against": {"noise": noise},
        },
    }  # fmt: skip


def least() -> Findings:
    """Only what every run has: the file, its figures, and nothing of the later stages."""
    documents: Any = {name: {} for name in ("dataset", "pruning", "quantisation", "examination", "params")}
    tables: Any = dict.fromkeys(TABLES, ())
    return Findings(
        classes=CLASSES,
        metadata=ModelMetadata(CLASSES, 32),
        sha256="a1" * 32,
        metrics={"float": figures(0.92) | {"bytes": 1_600_000}, "int8": figures(0.9) | {"bytes": 400_000}},
        latency={"float": {"latency_ms": 6.0}, "int8": {"latency_ms": 2.0}, "unpruned": {"latency_ms": 4.0}},
        captured=None,
        **documents,
        **tables,
    )


def whole() -> Findings:
    """Everything that the stages may write."""
    sides = {"train": 5, "validation": 2, "test": 2}
    epochs = ({"phase": "head", "epoch": "1", "loss": "0.9", "val_loss": "0.8"},
              {"phase": "blocks", "epoch": "2", "loss": "0.5", "val_loss": "0.6"})  # fmt: skip
    degraded = dict.fromkeys(("blur", "noise", "jpeg", "white_balance", "exposure"), "0.9")
    return replace(
        least(),
        params={"train": {"seed": 7, "epochs": 2, "alpha": 0.35}, "prepare": {"scaling": "zero_one"}},
        dataset={"images": 18, "groups": 9, "excluded": 1, "unlabelled": 3, "classes": dict.fromkeys(CLASSES, sides)},
        pruning={
            "method": "channels", "parameters": {"before": 100, "after": 60}, "channels": {"before": 10, "after": 6},
            "layers": {"Conv1": {"before": 8, "after": 8}},
            "validation_macro_sensitivity": {"original": 0.95, "pruned": 0.93}, "delta_p": 0.02,
        },
        quantisation={
            "form": "int8", "bytes": {"model": 400_000, "unpruned": 500_000}, "validation_drop": 0.01,
            "within_allowed_drop": False, "kept_finer": ["Conv1"], "tried": [{"layers": 1, "drop": 0.01}],
        },
        examination=examination(),
        answers=ANSWERS,
        class_scores=tuple({"label": label, "images": "2", "sensitivity": "0.5"} for label in CLASSES),
        training=epochs,
        pruning_curve=epochs,
        robustness=tuple({"strength": str(strength)} | degraded for strength in range(6)),
        subgroups=({"kind": "device", "name": "pi-1", "images": "4", "groups": "4", "classes": "2",
                    "macro_sensitivity": "0.9", "accuracy": "0.9"},),
        risk_coverage=({"threshold": "0.9", "coverage": "0.5", "risk": "0"}, {"coverage": "1", "risk": "0.5"}),
        reliability=({"confidence": "0.8", "accuracy": "0.7", "images": "4"},),
        layers=({"layer": "Conv1", "operation": "CONV_2D", "scale": "0.02", "rmse_over_scale": "0.3"},),
        captured=("2026-01-01", "2026-02-01"),
    )  # fmt: skip
