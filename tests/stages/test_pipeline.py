"""The whole pipeline, as a scientist runs it: `dvc repro` in a clone."""

import csv
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from a_clone import BATCH, CLASSES, IMAGES, WITHOUT_TEST, make_clone, run, run_stage

from hemaloop.inference.classifier import Classifier

pytestmark = [pytest.mark.slow, pytest.mark.longest]
TESTED = [name for name in CLASSES if name != WITHOUT_TEST]


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One `dvc repro` for all tests; those that change something copy it."""
    folder = tmp_path_factory.mktemp("clone")
    make_clone(folder)
    run(folder, "dvc", "add", f"data/batches/{BATCH}")
    done = run(folder, "dvc", "repro")
    assert done.returncode == 0, done.stdout + done.stderr
    (folder / "output.txt").write_text(done.stdout)
    return folder


def test_three_files_are_judged_on_the_same_test_images(clone: Path) -> None:
    metrics = _json(clone, "metrics")
    assert list(metrics) == ["float", "pruned", "int8"]
    for figures in metrics.values():
        assert (
            0
            <= figures["macro_sensitivity_low"]
            <= figures["macro_sensitivity"]
            <= figures["macro_sensitivity_high"]
            <= 1
        )
        assert figures["images"] == 2 * IMAGES * len(TESTED)
        assert figures["groups"] == 2 * len(TESTED)
    assert metrics["int8"]["bytes"] < metrics["pruned"]["bytes"] < metrics["float"]["bytes"]
    assert all(figures["latency_ms"] > 0 for figures in _json(clone, "latency").values())


def test_what_pruning_and_eight_bits_did_is_told(clone: Path) -> None:
    pruning, quantisation = _json(clone, "pruning"), _json(clone, "quantisation")
    assert pruning["channels"]["after"] < 0.6 * pruning["channels"]["before"]
    original, left = (pruning["validation_macro_sensitivity"][name] for name in ("original", "pruned"))
    assert pruning["delta_p"] == pytest.approx(original - left, abs=2e-6)
    assert quantisation["bytes"]["model"] < 0.95 * quantisation["bytes"]["unpruned"] < quantisation["bytes"]["float"]
    assert "times its bytes" in (clone / "output.txt").read_text()
    layers = {row["layer"] for row in _csv(clone, "quantisation")}
    assert {"Conv1", "block_1_expand", "block_16_project", "Conv_1", "probabilities"} <= layers


def test_every_figure_has_an_interval_and_the_file_is_examined(clone: Path) -> None:
    for figures in _json(clone, "metrics").values():
        for name in ("accuracy", "macro_auc", "ece", "brier", "sensitivity_at_95_specificity"):
            assert 0 <= figures[f"{name}_low"] <= figures[f"{name}_high"]
    found = _json(clone, "examination")
    assert found["leakage"]["exact"] == found["leakage"]["near"] == 0
    assert found["laboratories"]["images"] == 4
    temperature = _json(clone, "quantisation")["temperature"]["shipped"]
    assert found["calibration"]["temperature"] == pytest.approx(temperature, abs=1e-6)


def test_bytes_are_those_of_the_files_that_carry_their_classes(clone: Path) -> None:
    for name, file in (("float", "float"), ("pruned", "pruned"), ("int8", "model")):
        content = (clone / "models" / f"{file}.tflite").read_bytes()
        assert len(content) == _json(clone, "metrics")[name]["bytes"]
        assert Classifier(content).metadata.classes == CLASSES


def test_a_class_without_test_images_is_said_to_have_none(clone: Path) -> None:
    assert _json(clone, "metrics")["int8"]["absent_classes"] == 1
    rows = {row["label"]: row for row in _csv(clone, "classes")}
    assert (rows[WITHOUT_TEST]["images"], rows[WITHOUT_TEST]["sensitivity"]) == ("0", "")
    assert f"no test image of {WITHOUT_TEST}" in (clone / "output.txt").read_text()


def test_predictions_are_those_of_the_shipped_file(clone: Path) -> None:
    model = Classifier((clone / "models" / "model.tflite").read_bytes())
    rows = _csv(clone, "predictions")
    for row in rows[:5]:
        (path,) = (clone / "data" / "batches").glob(f"*/{row['sha256']}.jpg")
        answer = model.classify(path.read_bytes())
        assert answer.label == row["predicted"]
        assert answer.probabilities == pytest.approx({name: float(row[f"p_{name}"]) for name in CLASSES}, abs=1e-5)
    assert [(row["actual"], row["predicted"]) for row in rows] == [
        (row["actual"], row["predicted"]) for row in _csv(clone, "confusion")
    ]


def test_the_page_and_the_cards_hold_the_figures_of_this_run(clone: Path) -> None:
    shipped = _json(clone, "metrics")["int8"]
    said = f"{shipped['macro_sensitivity']:.3f} ({shipped['macro_sensitivity_low']:.3f} to"
    for name in ("report.html", "model-card.md", "tripod-ai.md"):
        text = (clone / "evaluation" / name).read_text()
        assert said in text
        assert f"No test image of {WITHOUT_TEST}: nothing here speaks of it." in text
    page = (clone / "evaluation" / "report.html").read_text()
    assert "class-activation map" in page
    assert page.count("data:image/jpeg") >= 2
    assert "/report.html" in (clone / "evaluation" / ".gitignore").read_text()


def test_a_second_repro_has_nothing_to_do_and_dvc_reads_the_figures(clone: Path) -> None:
    assert "up to date" in run(clone, "dvc", "status").stdout
    shown = json.loads(run(clone, "dvc", "metrics", "show", "--json").stdout)[""]["data"]
    assert shown["evaluation/metrics.json"]["data"] == _json(clone, "metrics")
    plots = json.loads(run(clone, "dvc", "plots", "show", "--json").stdout)
    assert set(plots["data"]) == {
        "Training",
        "Accuracy while training",
        "After pruning",
        "Confusion",
        "Sensitivity by class",
        "Robustness",
        "Reliability",
        "Risk and coverage",
    }
    assert all(plots["data"].values())


def test_another_preset_or_a_changed_one_makes_every_stage_that_reads_it_stale(clone: Path, tmp_path: Path) -> None:
    other = shutil.copytree(clone, tmp_path / "other", symlinks=True)
    params, presets = other / "params.yaml", other / "papers" / "presets"
    stages = set(yaml.safe_load((other / "dvc.yaml").read_text())["stages"])
    (presets / "paper.yaml").write_text("evaluate: {latency_runs: 6}\n")
    params.write_text(params.read_text().replace("preset: none", "preset: paper"))
    assert set(json.loads(run(other, "dvc", "status", "--json").stdout)) == stages - {"assemble"}
    params.write_text(params.read_text().replace("preset: paper", "preset: none"))
    (presets / "none.yaml").write_text("evaluate: {latency_runs: 6}\n")
    assert set(json.loads(run(other, "dvc", "status", "--json").stdout)) == stages - {"assemble"}


def test_a_scientist_who_pulls_and_repeats_keeps_the_figures(clone: Path, tmp_path: Path) -> None:
    """Prepared images are made again, and found to be the same: nothing is trained."""
    bot = shutil.copytree(clone, tmp_path / "bot", symlinks=True)
    for command in (
        ("dvc", "remote", "add", "-d", "remote", str(tmp_path / "remote")),
        ("git", "add", "-A"),
        ("git", "-c", "user.name=bot", "-c", "user.email=bot@localhost", "commit", "-qm", "Revision"),
        ("dvc", "push"),
        ("git", "clone", "-q", str(bot), str(tmp_path / "scientist")),
    ):
        done = run(bot, *command)
        assert done.returncode == 0, done.stderr
    pulled = run(tmp_path / "scientist", "dvc", "pull")
    assert pulled.returncode == 0, pulled.stderr
    repeated = run(tmp_path / "scientist", "dvc", "repro")
    assert re.findall(r"Running stage '(\w+)'", repeated.stdout) == ["prepare"]
    assert run(tmp_path / "scientist", "git", "status", "--porcelain").stdout == ""


def test_training_again_gives_the_same_numbers_to_the_digit(clone: Path, tmp_path: Path) -> None:
    again = shutil.copytree(clone, tmp_path / "again", symlinks=True)
    (again / "evaluation" / "training.csv").unlink()
    done = run_stage(again, "train")
    assert done.returncode == 0, done.stderr
    assert _csv(again, "training") == _csv(clone, "training")


def test_a_stage_runs_the_code_of_the_clone_that_it_stands_in(clone: Path, tmp_path: Path) -> None:
    other = shutil.copytree(clone, tmp_path / "other", symlinks=True)
    stage = other / "src" / "hemaloop" / "stages" / "prepare.py"
    stage.write_text(stage.read_text().replace('f"prepared {', 'f"prepared by this clone {'))
    assert "prepared by this clone 64 images" in run_stage(other, "prepare").stdout


def test_wrong_parameters_and_missing_images_end_with_what_to_do(clone: Path, tmp_path: Path) -> None:
    broken = shutil.copytree(clone, tmp_path / "broken", symlinks=True)
    params = yaml.safe_load((broken / "params.yaml").read_text())
    params["train"]["alpha"] = -1.0
    (broken / "params.yaml").write_text(yaml.safe_dump(params))
    ended = run_stage(broken, "train")
    assert (ended.returncode, "alpha: wanted 0.1 to 2" in ended.stderr) == (2, True)
    shutil.rmtree(broken / "data" / "batches" / BATCH)
    ended = run_stage(broken, "prepare")
    assert (ended.returncode, "`dvc pull`" in ended.stderr) == (3, True)


def test_preparing_and_judging_need_no_tensorflow(clone: Path) -> None:
    stages = ", ".join(f"hemaloop.stages.{name}" for name in ("prepare", "evaluate", "examine"))
    code = f"import sys, {stages}; sys.exit('tensorflow' in sys.modules)"
    assert run(clone, "python", "-c", code).returncode == 0


def _json(clone: Path, name: str) -> Any:
    return json.loads((clone / "evaluation" / f"{name}.json").read_text())


def _csv(clone: Path, name: str) -> list[dict[str, str]]:
    with (clone / "evaluation" / f"{name}.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))
