"""A run of the pipeline lands in MLflow once, registered only when the gate held, and is the shipped file."""

import json
import shutil
from pathlib import Path

import cv2
import mlflow
import numpy as np
import pandas as pd
import pytest
from tiny_model import CLASSES, SIZE_PX, png, tiny_tflite

from hemaloop.errors import ConfigError
from hemaloop.inference.classifier import Classifier
from hemaloop.inference.metadata import ModelMetadata, attach
from hemaloop.inference.preprocess import StepSettings
from hemaloop.registry import bundles
from hemaloop.registry.champion import champion_macro_sensitivity
from hemaloop.registry.dossier import compare, read_dossier
from hemaloop.registry.gate import Verdict
from hemaloop.registry.mirror import RELEASE, SIGNED_BY, Standing, mirror
from hemaloop.registry.pyfunc import ShippedClassifier
from hemaloop.registry.record import record
from hemaloop.registry.trained import Trained, read_trained
from hemaloop.registry.versions import (
    CANDIDATE,
    CHAMPION,
    MODEL,
    aliased,
    connect,
    keep_author,
    list_versions,
    read_version,
    set_champion,
    shipped_file,
)

pytestmark = pytest.mark.slow

PASSED = (Verdict("bytes", True, 10.0, "at most 20"),)
REFUSED = (*PASSED, Verdict("macro_sensitivity_low", False, 0.5, "at least 0.9"))
FIGURES = {"accuracy": 0.9, "macro_sensitivity": 0.9, "macro_sensitivity_low": 0.8, "bytes": 3000}


def red_within_blue() -> bytes:
    """64 px, of which the middle 16 are red."""
    field = np.full((4 * SIZE_PX, 4 * SIZE_PX, 3), (200, 40, 40), np.uint8)
    field[24:40, 24:40] = (40, 40, 200)
    encoded, data = cv2.imencode(".png", field)
    assert encoded
    return data.tobytes()


@pytest.fixture(scope="module")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MLflow's tables, made once: that takes seconds."""
    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    connect(f"sqlite:///{path}").search_registered_models()
    return path


@pytest.fixture
def store(tmp_path: Path, empty_store: Path) -> str:
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    return f"sqlite:///{tmp_path}/mlflow.db"


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """What `dvc repro` leaves behind, with a model of three classes and one test image of each."""
    folder = tmp_path / "clone"
    for name in ("evaluation", "models", "data"):
        (folder / name).mkdir(parents=True)
    (folder / "models/model.tflite").write_bytes(attach(tiny_tflite(), ModelMetadata(CLASSES, SIZE_PX)))
    both = dict.fromkeys(("float", "pruned", "int8"), FIGURES)
    (folder / "evaluation/metrics.json").write_text(json.dumps(both))
    (folder / "evaluation/latency.json").write_text(json.dumps({name: {"latency_ms": 2.0} for name in both}))
    (folder / "evaluation/training.csv").write_text("epoch,loss,accuracy\n1,0.9,0.5\n2,0.5,0.8\n")
    (folder / "params.yaml").write_text(f"classes: {list(CLASSES)}\ntrain: {{seed: 7}}\n")
    (folder / "dvc.lock").write_text("schema: '2.0'\n")
    write_test_images(folder)
    return folder


def write_test_images(folder: Path) -> None:
    manifest, answers, pairs = ["image,sha256"], ["sha256,actual,predicted"], ["actual,predicted"]
    for number, label in enumerate(CLASSES):
        (folder / f"data/{number}.png").write_bytes(png(number))
        manifest.append(f"data/{number}.png,sha-{number}")
        answers.append(f"sha-{number},{label},{label}")
        pairs.append(f"{label},{label}")
    (folder / "data/manifest.csv").write_text("\n".join(manifest) + "\n")
    (folder / "evaluation/predictions.csv").write_text("\n".join(answers) + "\n")
    (folder / "evaluation/confusion.csv").write_text("\n".join(pairs) + "\n")


def trained(clone: Path, revision: str = "a" * 40) -> Trained:
    return read_trained(clone, revision)


def test_a_passing_run_becomes_a_candidate_that_answers_like_the_shipped_file(store: str, clone: Path) -> None:
    recorded = record(store, clone.parent / "artifacts", trained(clone), PASSED, png(1))
    assert (recorded.version, recorded.gate) == (1, "passed")
    assert aliased(store, CANDIDATE) == 1
    assert shipped_file(store, 1) == (clone / "models/model.tflite").read_bytes()
    loaded = mlflow.pyfunc.load_model(f"models:/{MODEL}/1")
    answer = loaded.predict(pd.DataFrame({"image": [png(0), png(2)]}))
    shipped = Classifier(shipped_file(store, 1))
    assert list(answer["label"]) == [CLASSES[0], CLASSES[2]]
    told = loaded.predict(pd.DataFrame({"image": [png(0), png(2)], "um_per_px": [0.1, None]}))
    pd.testing.assert_frame_equal(told, answer)  # its steps look at no scale
    assert answer.iloc[0][f"p_{CLASSES[0]}"] == shipped.classify(png(0)).probabilities[CLASSES[0]]
    assert loaded.metadata.signature.inputs.required_input_names() == ["image"]
    assert loaded.metadata.saved_input_example_info is not None


def test_a_registered_model_takes_each_images_scale(tmp_path: Path) -> None:
    scaled = ModelMetadata(CLASSES, SIZE_PX, (StepSettings("scale", {"um_per_px": 0.2}),))
    (tmp_path / "model.tflite").write_bytes(attach(tiny_tflite(), scaled))
    context = mlflow.pyfunc.PythonModelContext({"model": str(tmp_path / "model.tflite")}, None)
    model = ShippedClassifier()
    model.load_context(context)
    middle = red_within_blue()
    answer = model.predict(context, pd.DataFrame({"image": [middle, middle, png(1)], "um_per_px": [0.2, 0.05, None]}))
    assert list(answer["label"]) == [CLASSES[0], CLASSES[2], CLASSES[1]]


def test_the_run_holds_parameters_metrics_plots_and_the_revision(store: str, clone: Path) -> None:
    recorded = record(store, clone.parent / "artifacts", trained(clone), PASSED, png(1))
    run = mlflow.get_run(recorded.run_id)
    assert run.data.params["train.seed"] == "7"
    assert run.data.metrics["int8.macro_sensitivity"] == 0.9
    assert run.data.tags["revision"] == "a" * 40
    names = {found.path for found in mlflow.artifacts.list_artifacts(run_id=recorded.run_id)}
    assert {"confusion.png", "training.png", "params.yaml", "dvc.lock", "gate.json", "evaluation"} <= names


def test_a_refused_run_is_kept_with_its_reason_and_not_registered(store: str, clone: Path) -> None:
    recorded = record(store, clone.parent / "artifacts", trained(clone), REFUSED, png(1))
    assert recorded.version is None
    assert recorded.gate == "refused: macro_sensitivity_low: 0.5, wanted at least 0.9"
    assert mlflow.get_run(recorded.run_id).data.tags["gate"] == recorded.gate
    assert list_versions(store) == []
    assert aliased(store, CANDIDATE) is None


def test_recording_a_revision_again_changes_nothing(store: str, clone: Path) -> None:
    first = record(store, clone.parent / "artifacts", trained(clone), PASSED, png(1))
    again = record(store, clone.parent / "artifacts", trained(clone), PASSED, png(1))
    other = record(store, clone.parent / "artifacts", trained(clone, "b" * 40), PASSED, png(1))
    assert first == again
    assert other.version == 2
    assert [version.number for version in list_versions(store)] == [1, 2]


def test_a_bundle_stays_what_it_was(store: str, clone: Path) -> None:
    record(store, clone.parent / "artifacts", trained(clone), PASSED, png(1))
    with pytest.raises(ConfigError, match="no release bundle"):
        bundles.fetch(store, 1)
    bundles.attach(store, 1, b"first")
    bundles.attach(store, 1, b"second")
    assert bundles.fetch(store, 1) == b"first"


def test_the_champion_is_scored_on_todays_test_images(store: str, clone: Path) -> None:
    assert champion_macro_sensitivity(store, clone, list(CLASSES)) is None
    record(store, clone.parent / "artifacts", trained(clone), PASSED, png(1))
    set_champion(store, 1)
    assert aliased(store, CHAMPION) == 1
    assert champion_macro_sensitivity(store, clone, list(CLASSES)) == 1.0
    (clone / "data/0.png").write_bytes(png(1))  # an image that the champion takes for another class
    assert champion_macro_sensitivity(store, clone, list(CLASSES)) == pytest.approx(2 / 3)
    assert champion_macro_sensitivity(store, clone, ["other", "classes"]) is None


def test_tags_and_the_champion_are_repaired_to_what_is_signed(store: str) -> None:
    client = connect(store)
    client.create_registered_model(MODEL)
    for number in range(3):
        client.create_model_version(MODEL, f"file:///nowhere/{number}", tags={"revision": "a" * 40})
    signed = {1: Standing("released", ("anna", "bob")), 2: Standing("waiting", ("chloe",))}

    def tags() -> dict[int, tuple[str | None, str | None]]:
        found = client.search_model_versions(f"name = '{MODEL}'")
        return {int(each.version): (each.tags.get(RELEASE), each.tags.get(SIGNED_BY)) for each in found}

    assert len(mirror(store, 1, signed)) == 5
    says = {1: ("released", "anna, bob"), 2: ("waiting", "chloe"), 3: (None, None)}
    assert (tags(), aliased(store, CHAMPION), mirror(store, 1, signed)) == (says, 1, ())

    client.set_model_version_tag(MODEL, "3", RELEASE, "released")
    client.delete_model_version_tag(MODEL, "1", SIGNED_BY)
    client.set_registered_model_alias(MODEL, CHAMPION, "3")
    assert mirror(store, 1, signed) == (
        "version 1: signed_by is anna, bob, MLflow had None",
        "version 3: release is None, MLflow had released",
        "champion is 1, MLflow had 3",
    )
    assert (tags(), aliased(store, CHAMPION)) == (says, 1)
    assert mirror(store, 1, signed | {9: Standing("released", ("anna",))}) == (
        "version 9 is signed, and MLflow does not know it",
    )
    assert mirror(store, None, signed) == ("champion is None, MLflow had 1",)
    assert aliased(store, CHAMPION) is None


def test_an_approver_is_shown_figures_gate_card_author_and_the_champion(store: str, clone: Path) -> None:
    record(store, clone.parent / "artifacts", trained(clone), PASSED, png(1))
    keep_author(store, 1, "Anna <anna@lab.example>")
    keep_author(store, 1, "Bob <bob@lab.example>")  # too late: somebody may have signed it
    set_champion(store, 1)
    (clone / "evaluation/model-card.md").write_text("# Card\n\nGood on Tuesdays.\n\n## Model details\n")
    record(store, clone.parent / "artifacts", trained(clone, "b" * 40), PASSED, png(1))

    found = read_dossier(store, 2)

    assert (found.version.number, found.version.author, found.champion and found.champion.number) == (2, "", 1)
    assert (found.champion and found.champion.author) == "Anna <anna@lab.example>"
    assert found.verdicts == PASSED
    assert "Good on Tuesdays" in found.card
    assert found.digests.keys() == {"evaluation/model-card.md", "gate.json"}
    (accuracy, size, macro) = compare(FIGURES | {"accuracy": 0.95}, found.before)
    assert (accuracy.figure.name, accuracy.difference) == ("accuracy", pytest.approx(0.05))
    assert (size.figure.name, macro.figure.name, macro.figure.low, macro.champion.low) == (
        "bytes", "macro_sensitivity", 0.8, 0.8,
    )  # fmt: skip
    assert compare(FIGURES, {})[0].difference is None


def test_a_version_that_is_not_there_says_where_to_look(store: str, clone: Path) -> None:
    with pytest.raises(ConfigError, match="hemaloop status"):
        read_version(store, 3)
    with pytest.raises(ConfigError, match="hemaloop status"):
        set_champion(store, 3)
