"""Few labelled images of a site help where they can; where they cannot, adapting is refused."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from hemaloop.config import parse_section
from hemaloop.errors import ConfigError, DataError, GateRefused
from hemaloop.inference.metadata import ModelMetadata, attach, read_metadata
from hemaloop.model.adaptation import (
    AdaptParams,
    Array,
    Head,
    Labels,
    Outcome,
    Setting,
    adapt,
    choose,
    fit,
    folds,
    macro_loss,
    refuse_useless,
)
from hemaloop.model.prepared import Samples

PARAMS = AdaptParams(penalties=(0.1,), folds=6)
CLASSES = ("reddish", "greenish", "bluish")
TEMPERATURE = 2.0


def _site(images: int, moved: float, seed: int = 0) -> tuple[Array, Labels, Head]:
    """Features of 3 classes around 3 corners, the site's moved off them; the head knows the corners."""
    rng = np.random.default_rng(seed)
    labels = np.arange(images) % 3
    corners = np.eye(3, 20) * 4
    away = np.zeros(20)
    away[0] = moved  # all look like the first class
    return corners[labels] + away + rng.normal(0, 0.3, (images, 20)), labels, Head(corners.T, np.full(3, -8.0))


def test_a_site_that_looks_like_one_class_is_told_apart_again() -> None:
    features, labels, head = _site(12, moved=5)
    adapted = adapt(lambda _weight, _known: features, labels, head, PARAMS)
    assert adapted.outcome.before_sensitivity < 0.5
    assert adapted.outcome.after_sensitivity == 1
    assert adapted.outcome.is_shown
    unseen, theirs, _ = _site(60, moved=5, seed=1)
    assert (adapted.head.probabilities(unseen).argmax(axis=1) == theirs).mean() > 0.9


def test_labels_that_say_nothing_are_refused() -> None:
    features, labels, head = _site(12, moved=0)
    drawn = np.random.default_rng(3).permutation(labels)
    with pytest.raises(GateRefused, match="does not help on these images"):
        adapt(lambda _weight, _known: features, drawn, head, PARAMS)


def test_a_site_like_the_old_one_is_refused() -> None:
    features, labels, head = _site(12, moved=0)
    with pytest.raises(GateRefused, match=r"keep the model, or label more"):
        adapt(lambda _weight, _known: features, labels, head, PARAMS)


def test_what_is_left_out_has_no_part_in_its_answer() -> None:
    """The statistics too are asked for without the images that are then judged."""
    features, labels, head = _site(9, moved=5)
    asked: list[frozenset[int]] = []

    def record(_weight: float, known: Labels) -> Array:
        asked.append(frozenset(known.tolist()))
        return features

    adapt(record, labels, head, AdaptParams(penalties=(0.1,), folds=9))
    assert {frozenset(range(9)) - {image} for image in range(9)} <= set(asked)


@pytest.mark.parametrize("labels", [[0, 0, 1, 1, 2, 2], [0] * 10, [0] * 8 + [1]])
def test_too_few_images_are_refused(labels: list[int]) -> None:
    head = Head(np.zeros((4, 3)), np.zeros(3))
    with pytest.raises(DataError, match="at least 8 labelled images"):
        adapt(lambda _weight, _known: np.zeros((len(labels), 4)), np.array(labels), head, PARAMS)


def test_a_head_that_is_too_sure_at_a_site_is_made_less_sure() -> None:
    """Features so noisy that a tenth is answered wrongly, by a head that doubts nothing."""
    rng = np.random.default_rng(4)
    labels = np.arange(60) % 3
    features = np.eye(3, 20)[labels] * 2 + rng.normal(0, 1, (60, 20))
    head = Head(8 * np.eye(20, 3), np.zeros(3))
    assert choose({0.0: features}, labels, head, AdaptParams()).temperature >= 3
    softer = choose({0.0: features}, labels, head.tempered(8), AdaptParams())
    assert softer.temperature == 1


@pytest.mark.parametrize(("before", "after", "low", "shown"), [(1.0, 0.8, -0.1, False), (1.0, 0.8, 0.1, True)])
def test_a_fall_that_may_be_chance_is_let_through_and_told(
    before: float, after: float, low: float, shown: bool
) -> None:
    outcome = Outcome(before, after, low, 0.5, 0.7, 0.7)
    refuse_useless(outcome, np.arange(20) % 8)
    assert outcome.is_shown == shown


@pytest.mark.parametrize(
    ("before", "after", "right"), [(0.8, 0.77, 0.7), (0.8, 0.7, 0.69), (4.0, 1.9, 0.7)], ids=["loss", "right", "guess"]
)
def test_what_loses_or_is_no_better_than_guessing_is_refused(before: float, after: float, right: float) -> None:
    with pytest.raises(GateRefused, match="keep the model, or label more"):
        refuse_useless(Outcome(before, after, 0.1, 0.5, 0.7, right), np.arange(20) % 8)


@given(st.integers(0, 1000), st.sampled_from([0.1, 1.0, 10.0]), st.sampled_from([1.0, 2.0]))
@settings(max_examples=20, deadline=None)
def test_a_refit_never_loses_on_its_own_images_and_only_tempers_absent_classes(
    seed: int, penalty: float, temperature: float
) -> None:
    features, labels, head = _site(12, moved=3, seed=seed)
    features, labels = features[labels != 2], labels[labels != 2]
    fitted, tempered = fit(features, labels, head, Setting(0.0, temperature, penalty)), head.tempered(temperature)
    assert np.array_equal(fitted.weights[:, 2], tempered.weights[:, 2])
    assert fitted.bias[2] == tempered.bias[2]
    two = [Head(each.weights[:, :2], each.bias[:2]).probabilities(features) for each in (tempered, fitted)]
    assert macro_loss(labels, two[1]) <= macro_loss(labels, two[0]) + 1e-9


def test_a_large_penalty_leaves_the_head_where_it_was() -> None:
    features, labels, head = _site(12, moved=5)
    near, far = (
        np.abs(fit(features, labels, head, Setting(0.0, 1.0, penalty)).weights - head.weights).max()
        for penalty in (1e7, 0.1)
    )
    assert near < 1e-5 < far


def test_more_images_move_the_head_further() -> None:
    few, many = (_site(images, moved=5) for images in (12, 120))
    moved = [np.abs(fit(*site, Setting(0.0, 1.0, 2.0)).weights - site[2].weights).max() for site in (few, many)]
    assert moved[0] < moved[1]


@given(st.integers(1, 60), st.integers(2, 20), st.integers(0, 99))
def test_every_image_is_left_out_once(images: int, most: int, seed: int) -> None:
    parts = folds(np.arange(images) % 3, most, seed)
    assert sorted(np.concatenate(parts).tolist()) == list(range(images))
    assert len(parts) == min(most, images)


@pytest.mark.parametrize(
    ("key", "value"), [("statistics", []), ("temperatures", [0.0]), ("penalties", [0.0]), ("folds", 1)]
)
def test_impossible_settings_are_refused(key: str, value: object) -> None:
    with pytest.raises(ConfigError, match=key):
        parse_section({key: value}, "params.yaml: adapt", AdaptParams)


@pytest.mark.slow
@pytest.mark.usefixtures("tensorflow")
def test_statistics_follow_the_site_and_come_back(training: Samples) -> None:
    from hemaloop.model.sites import Site, moments

    pixels = training.take(np.arange(12))
    site = Site(_small_model(), (pixels // 3).astype(np.uint8))
    before, everything = moments(site.model), np.arange(12)
    own = site.features(0.0, everything)
    whole = site.features(1.0, everything)
    changed = moments(site.model)
    partly = site.features(0.5, everything)
    assert not np.allclose(own, whole)
    assert not np.allclose(partly, whole)
    stem = [values["normalised"][0] for values in (before, changed, moments(site.model))]
    np.testing.assert_allclose(stem[2], (stem[0] + stem[1]) / 2, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(site.features(0.0, everything), own)
    assert all(map(np.array_equal, moments(site.model)["normalised"], before["normalised"]))


@pytest.mark.slow
@pytest.mark.usefixtures("tensorflow")
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras, as it saves
def test_a_site_gets_a_file_of_its_own(
    training: Samples, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """From images in folders to a .tflite that answers, with an account of what was gained."""
    from ai_edge_litert.interpreter import Interpreter

    from hemaloop.inference.classifier import Classifier
    from hemaloop.model.quantisation.conversion import to_int8
    from hemaloop.stages.adapt import main

    pixels = training.take(np.arange(24))
    model, cooler = _small_model(), _small_model(1 / TEMPERATURE)
    shipped = attach(to_int8(cooler, pixels), ModelMetadata(CLASSES, 32))
    _clone(tmp_path, model, shipped)
    for position, image in enumerate(pixels):
        folder = tmp_path / "site" / CLASSES[training.labels[position]]
        folder.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / f"{position}.png"), image[:, :, ::-1])
    monkeypatch.chdir(tmp_path)
    main(["site", "--site", "north", "--um-per-px", "0.2"])
    assert "data/prepared is not there: quantised by the site's images alone" in capsys.readouterr().out
    account = json.loads((tmp_path / "models/sites/north/adaptation.json").read_text())
    content = (tmp_path / "models/sites/north/model.tflite").read_bytes()
    assert account["images"] == dict.fromkeys(CLASSES, 8)
    assert account["left_out"]["after_sensitivity"] > account["left_out"]["before_sensitivity"]
    assert read_metadata(content) == ModelMetadata(CLASSES, 32)
    before = macro_loss(training.labels, Classifier(shipped).probabilities(pixels).astype(np.float64))
    assert account["left_out"]["before_loss"] == pytest.approx(before, abs=0.01)  # of the file that ships
    (output,) = Interpreter(model_content=content).get_output_details()
    assert output["dtype"] is np.float32  # its end stayed float, as evaluation/quantisation.json says
    answers = Classifier(content, threads=1).probabilities(pixels)
    assert np.mean(answers.argmax(axis=1) == training.labels) == account["quantised_right_on_its_own_images"] > 0.8


def test_a_folder_that_is_no_class_is_named(tmp_path: Path) -> None:
    from hemaloop.stages.adapt import read_site

    (tmp_path / "odd").mkdir()
    cv2.imwrite(str(tmp_path / "odd" / "1.png"), np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(DataError, match=r"classes \(reddish, greenish, bluish\), got odd"):
        read_site(tmp_path, ModelMetadata(CLASSES, 32), None)


def _small_model(sure: float = 1.0) -> Any:
    """Its features are how red, green and blue an image is; its answers are one class off."""
    import keras

    inputs = keras.Input((32, 32, 3))
    x = keras.layers.Rescaling(1 / 127.5, offset=-1.0)(inputs)
    x = keras.layers.Conv2D(3, 1, name="colours")(x)
    x = keras.layers.ReLU()(keras.layers.BatchNormalization(name="normalised", beta_initializer="ones")(x))
    x = keras.layers.GlobalAveragePooling2D(name="features")(x)
    x = keras.layers.Dense(3, activation="softmax", name="probabilities")(x)
    model = keras.Model(inputs, x)
    model.get_layer("colours").set_weights([np.eye(3)[None, None], np.zeros(3)])
    model.get_layer("probabilities").set_weights([sure * 3 * np.eye(3)[[2, 0, 1]], np.zeros(3)])
    return model


def _clone(folder: Path, model: Any, shipped: bytes) -> None:
    (folder / "models").mkdir()
    model.save(folder / "models" / "pruned.keras")
    (folder / "models" / "model.tflite").write_bytes(shipped)
    (folder / "evaluation").mkdir()
    told = {"temperature": {"float": 1.0, "shipped": TEMPERATURE}, "kept_finer": ["probabilities", "softmax"]}
    (folder / "evaluation" / "quantisation.json").write_text(json.dumps(told))
    settings = dataclasses.asdict(PARAMS) | {"statistics": [0.0], "penalties": [0.02], "folds": 4}
    root = yaml.safe_load((Path(__file__).parents[2] / "params.yaml").read_text())
    params = {"adapt": settings, "quantise": root["quantise"]}
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
