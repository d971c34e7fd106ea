"""The comparison puts a paper's figures beside ours, says why something is missing, and never mixes protocols."""

import csv
import io
from typing import Any

import pytest

from hemaloop.errors import DataError
from papers.holding import holding
from papers.page import to_html
from papers.rows import Folds, Row, as_metrics, compare, read_folds, read_results
from papers.shortened import CHANGES
from papers.systems import ROOT, read_reported, read_systems
from papers.table import HEAD, cells, missing_told, to_csv, to_markdown

SYSTEMS = read_systems()
REASON = "train.weights: imagenet cannot be downloaded"
HONEST_ACCURACY, PAPER_ACCURACY, POOR_ACCURACY = 0.61, 0.87, 0.43


def figures(accuracy: float) -> dict[str, float]:
    names = ("accuracy", "macro_sensitivity", "macro_auc")
    ends = (("", accuracy), ("_low", accuracy - 0.1), ("_high", accuracy + 0.1))
    return {name + end: value for name in names for end, value in ends} | {"bytes": 500_000}


def a_result(system: str, protocol: str, accuracy: float, skipped: str = "") -> dict[str, Any]:
    made = {"command": f"python -m papers.run {system} {protocol} --form short", "revision": "abc" * 12}
    head = {"system": system, "protocol": protocol, "seed": 7, "changed": False, "size_px": 96, "skipped": skipped}
    if skipped:
        return head | made
    faster = {"network": 9.25, "whole": 6.5}
    classes = len(SYSTEMS.named(system).classes)
    curve = [{"phase": "head", "epoch": 1, "loss": 1.0, "accuracy": 0.5, "val_loss": 1.1, "val_accuracy": 0.4}]
    return head | made | {
        "float": figures(accuracy) | {"bytes": 9_000_000},
        "shipped": figures(accuracy),
        "times_faster": {"float": faster, "shipped": faster},
        "seconds": {"train": 40.0, "prune": 2.0},
        "trained": {"epochs": 3, "weights": "w.h5", "weights_sha256": "f" * 64},
        "confusion": [[1] * classes] * classes,
        "curves": curve,
    }  # fmt: skip


def examined(value: float) -> dict[str, Any]:
    one = {"macro_sensitivity": value, "images": 100}
    shortcut = dict.fromkeys(("model", "model_on_grey", "model_on_restained", "colour_alone"), one)
    return {"shortcut": shortcut, "laboratories": {"mean": value, "worst": "stain_blue", "shifts": {"stain_blue": one}}}


@pytest.fixture(scope="module")
def results() -> dict[tuple[str, str], dict[str, Any]]:
    made = [
        a_result(system, protocol, accuracy)
        for system in ("wbc-cnn", "mobilenetv2-256", "hemaloop-all")
        for protocol, accuracy in (("paper", PAPER_ACCURACY), ("honest", HONEST_ACCURACY))
    ]
    made += [a_result("nasnetmobile", "honest", 0.0, REASON)]
    made += [a_result("hemaloop-all", f"fold-{n}", 0.5 + n / 10) for n in range(3)]
    found = {(result["system"], result["protocol"]): result for result in made}
    found["wbc-cnn", "honest"] |= {"degraded": figures(POOR_ACCURACY)}
    return found


@pytest.fixture(scope="module")
def rows(results: dict[tuple[str, str], dict[str, Any]]) -> tuple[Row, ...]:
    return compare(SYSTEMS, read_reported(), results)


def row(rows: tuple[Row, ...], name: str) -> dict[str, str]:
    (found,) = [each for each in rows if each.name == name]
    return dict(zip(HEAD, cells(found), strict=True))


def test_each_figure_stands_under_its_own_protocol(rows: tuple[Row, ...]) -> None:
    shown = row(rows, "mobilenetv2-256")
    assert (shown["paper: accuracy"], shown["ours, paper's protocol: accuracy"]) == ("98.6", "87.0")
    assert shown["ours, honest protocol: accuracy"] == "61.0"
    assert shown["ours, honest protocol: macro sensitivity (95 % interval)"] == "61.0 (51.0 to 71.0)"
    assert shown["float file, honest protocol: accuracy, macro sensitivity"] == "61.0, 61.0"
    assert shown["shipped: MB, times faster, with preprocessing"] == "0.50, 9.2, 6.5"
    assert (shown["training, s"], shown["px, epochs"]) == ("42", "96, 3")


def test_poor_images_are_a_row_of_their_own_beside_what_the_paper_says_of_them(rows: tuple[Row, ...]) -> None:
    shown = row(rows, "wbc-cnn-degraded")
    assert (shown["paper: accuracy"], shown["ours, honest protocol: accuracy"]) == ("91.0", "43.0")
    assert shown["float file, honest protocol: accuracy, macro sensitivity"] == ""  # it never saw those images
    assert row(rows, "wbc-cnn")["ours, honest protocol: accuracy"] == "61.0"


def test_what_could_not_be_run_says_why(rows: tuple[Row, ...]) -> None:
    assert row(rows, "nasnetmobile")["ours, honest protocol: accuracy"] == "skipped"
    for text in (
        to_markdown(rows, (), SYSTEMS, "short"),
        to_csv(rows),
        to_html(rows, (), SYSTEMS, "short", ROOT / "nowhere"),
    ):
        assert REASON in text


def test_what_nobody_has_run_is_named(rows: tuple[Row, ...]) -> None:
    told = missing_told(rows, SYSTEMS.systems)
    (paper,) = [line for line in told if "the paper protocol" in line]
    assert "nasnetmobile" in paper  # it was skipped under the other protocol alone
    assert "hemaloop-all" not in paper


def test_what_a_paper_reports_beside_the_columns_is_told_with_its_source(rows: tuple[Row, ...]) -> None:
    for text in (to_markdown(rows, (), SYSTEMS, "short"), to_html(rows, (), SYSTEMS, "short", ROOT / "nowhere")):
        assert "98.88 % on the training side" in text
        assert "Mahale et al., JISEM 2025" in text
        assert "images: accuracy 93.0, precision 91.5, recall 92.0 %" in text  # S1's clinical ones


def test_metrics_tell_what_made_them(rows: tuple[Row, ...]) -> None:
    metrics = as_metrics(rows)
    assert "nasnetmobile" not in metrics
    found = metrics["hemaloop-all"]["honest"]
    assert (found["accuracy"], found["seed"], found["revision"]) == (HONEST_ACCURACY, 7, "abc" * 12)
    assert found["command"] == "python -m papers.run hemaloop-all honest --form short"


def test_folds_are_told_by_their_mean_and_their_worst(results: dict[tuple[str, str], dict[str, Any]]) -> None:
    (fold,) = read_folds(results)
    assert (fold.name, fold.folds, round(fold.mean, 6), fold.worst) == ("hemaloop-all", 3, 0.6, 0.5)


def test_the_csv_has_a_line_for_each_run(rows: tuple[Row, ...]) -> None:
    lines = list(csv.DictReader(io.StringIO(to_csv(rows))))
    of_one = {line["protocol"]: line for line in lines if line["system"] == "wbc-cnn"}
    assert {protocol: float(line["accuracy"]) for protocol, line in of_one.items()} == {
        "paper": PAPER_ACCURACY,
        "honest": HONEST_ACCURACY,
    }
    assert {line["float_bytes"] for line in of_one.values()} == {"9000000"}


def test_the_page_shows_curves_confusions_folds_and_choices(rows: tuple[Row, ...]) -> None:
    folds = (Folds("hemaloop-all", 10, 0.98, 0.95),)
    page = to_html(rows, folds, SYSTEMS, "short", ROOT / "nowhere")
    for wanted in (
        "accuracy of S4 MobileNetV2 at 256 px by epoch",
        "98.0 mean, 95.0 worst of 10",
        "neutrophil",
        "w.h5",
    ):
        assert wanted in page, wanted
    assert "Sample images" not in page  # the runs' folder is not on this machine


def test_a_shorter_form_says_what_it_left_out(rows: tuple[Row, ...]) -> None:
    for text in (
        to_markdown(rows, (), SYSTEMS, "short"),
        to_html(rows, (), SYSTEMS, "short", ROOT / "nowhere"),
    ):
        assert "wbc-cnn: input px 96 (224), epochs 8 (15), computed in float32 (mixed_bfloat16)" in text
        assert "nasnetmobile: input" not in text  # it was skipped: nothing of it is there to judge
    assert CHANGES not in to_markdown(rows, (), SYSTEMS, "full")


def test_what_holds_up_is_of_the_honest_run_alone(results: dict[tuple[str, str], dict[str, Any]]) -> None:
    seen = {protocol: examined(value) for protocol, value in (("paper", 0.9), ("honest", 0.5))}
    mine = {key: result | {"examined": seen[key[1]]} for key, result in results.items() if key[1] in seen}
    found = {cells[0]: cells[1:] for cells in holding(compare(SYSTEMS, read_reported(), mine))}
    assert len(found) == 4  # a system's poor images are no system, and a skipped one
    assert set(found["ours, four stages of ALL"]) == {"50.0", "50.0 (stain blue)", "100"}


def test_without_results_it_says_what_to_run(tmp_path: Any) -> None:
    with pytest.raises(DataError, match="make papers"):
        read_results(tmp_path)
