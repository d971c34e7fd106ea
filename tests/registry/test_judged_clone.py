"""What the gate judges is read from what the pipeline left behind."""

import json
from pathlib import Path

import pytest

from hemaloop.errors import DataError
from hemaloop.registry.gate import GateRules, judge, refusals
from hemaloop.registry.trained import read_trained

RULES = GateRules(
    macro_sensitivity_low=0.0, drop_from_champion=1.0, drop_from_float=1.0, bytes=10**6, latency_ratio_to_float=9.0,
    prune_saves=0.05, calibration_error_low=0.1, worst_subgroup=0.5,
)  # fmt: skip


def left_behind(folder: Path, method: str, unpruned_bytes: int, unpruned_ms: float | None) -> Path:
    """A clone after `dvc repro`, whose shipped file has 1000 bytes and takes 2 ms."""
    for name in ("evaluation", "models"):
        (folder / name).mkdir()
    (folder / "models/model.tflite").write_bytes(bytes(1000))
    (folder / "models/unpruned.tflite").write_bytes(bytes(unpruned_bytes))
    figures = {"macro_sensitivity": 0.9, "macro_sensitivity_low": 0.8, "ece_low": 0.0}
    names = ("float", "pruned", "int8")
    latency = {name: {"latency_ms": 2.0} for name in names}
    if unpruned_ms is not None:
        latency["unpruned"] = {"latency_ms": unpruned_ms}
    (folder / "evaluation/metrics.json").write_text(json.dumps(dict.fromkeys(names, figures)))
    (folder / "evaluation/latency.json").write_text(json.dumps(latency))
    (folder / "params.yaml").write_text(f"classes: [a, b]\nprune: {{method: {method}}}\n")
    return folder


def refused(folder: Path) -> list[str]:
    scores = read_trained(folder, "0" * 40).scores(None)
    return [verdict.rule for verdict in refusals(judge(scores, RULES))]


@pytest.mark.parametrize(
    ("method", "unpruned_bytes", "unpruned_ms", "rules"),
    [
        ("magnitude", 1000, 2.02, ["prune_pays"]),
        ("channels", 2000, 2.0, []),
        ("channels", 1000, 3.0, []),
        ("none", 1000, 2.0, []),
    ],
)
def test_a_prune_that_changed_neither_size_nor_latency_is_refused(
    tmp_path: Path, method: str, unpruned_bytes: int, unpruned_ms: float, rules: list[str]
) -> None:
    assert refused(left_behind(tmp_path, method, unpruned_bytes, unpruned_ms)) == rules


@pytest.mark.parametrize("absent", [0, 1])
def test_a_class_that_nothing_was_tested_on_is_refused_however_good_the_others_are(tmp_path: Path, absent: int) -> None:
    clone = left_behind(tmp_path, "none", 1000, 2.0)
    metrics = json.loads((clone / "evaluation/metrics.json").read_text())
    metrics["int8"]["absent_classes"] = absent
    (clone / "evaluation/metrics.json").write_text(json.dumps(metrics))
    assert refused(clone) == ["untested_classes"] * absent


@pytest.mark.parametrize(
    ("ece_low", "worst", "rules"),
    [(0.1, 0.5, []), (0.11, None, ["calibration_error_low"]), (0.0, 0.49, ["worst_subgroup"])],
)
def test_a_file_that_is_surer_than_right_or_fails_a_device_is_refused(
    tmp_path: Path, ece_low: float, worst: float | None, rules: list[str]
) -> None:
    clone = left_behind(tmp_path, "none", 1000, 2.0)
    metrics = json.loads((clone / "evaluation/metrics.json").read_text())
    metrics["int8"]["ece_low"] = ece_low
    (clone / "evaluation/metrics.json").write_text(json.dumps(metrics))
    found = None if worst is None else {"kind": "device", "name": "pi-3", "macro_sensitivity": worst}
    (clone / "evaluation/examination.json").write_text(json.dumps({"subgroups": {"worst": found}}))
    assert refused(clone) == rules


def test_a_prune_that_was_not_measured_is_not_taken_for_one_that_paid(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="unpruned model was not measured"):
        refused(left_behind(tmp_path, "channels", 2000, None))
