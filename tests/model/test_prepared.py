"""Prepared images: read as they were written, or refused with what to do."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from hemaloop.config import parse_section
from hemaloop.errors import ConfigError, DataError
from hemaloop.imaging.decode import decode
from hemaloop.inference.preprocess import DEFAULT_STEPS, Preprocessing, StepSettings, preprocess, to_input
from hemaloop.model.parameters import PruneParams, TrainParams
from hemaloop.model.preparation import prepare, read_manifest
from hemaloop.model.prepared import read_prepared

HEAD = "image,sha256,label,group,side,device,slide,stain,um_per_px\n"
STEPS = Preprocessing(DEFAULT_STEPS, 32)


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """Four images and a manifest; the last one was excluded by a merge of groups."""
    rng = np.random.default_rng(0)
    rows = []
    for number, side in enumerate(("train", "test", "train", "excluded")):
        name = f"image-{number}.png"
        cv2.imwrite(str(tmp_path / name), rng.integers(0, 255, (50, 40, 3)).astype(np.uint8))
        rows.append(f"{name},{number},{'ab'[number % 2]},g{number},{side},pi-1,s1,,0.2\n")
    (tmp_path / "manifest.csv").write_text(HEAD + "".join(rows))
    return tmp_path


def test_images_are_prepared_as_the_device_prepares_them(clone: Path) -> None:
    prepare(read_manifest(clone / "manifest.csv"), clone, clone / "prepared", STEPS, "zero_one")
    prepared = read_prepared(clone / "prepared")
    assert [image.sha256 for image in prepared.images] == ["0", "1", "2"]
    for number, pixels in enumerate(prepared.pixels):
        wanted = to_input(decode((clone / f"image-{number}.png").read_bytes()), 32)
        np.testing.assert_array_equal(pixels, wanted)


def test_a_side_has_its_images_alone(clone: Path) -> None:
    prepare(read_manifest(clone / "manifest.csv"), clone, clone / "prepared", STEPS, "zero_one")
    prepared = read_prepared(clone / "prepared")
    train = prepared.side("train", ("a", "b"))
    assert [image.sha256 for image in train.images] == ["0", "2"]
    assert train.labels.tolist() == [0, 0]
    np.testing.assert_array_equal(train.take(np.array([1]))[0], prepared.pixels[2])
    with pytest.raises(DataError, match="no labelled image is on the validation side"):
        prepared.side("validation", ("a", "b"))
    with pytest.raises(DataError, match="labels b are not among the classes"):
        prepared.side("test", ("a", "c"))


def test_steps_and_the_images_own_scale_are_followed(clone: Path) -> None:
    steps = Preprocessing((StepSettings("scale", {"um_per_px": 0.4}), StepSettings("lab_a")), 32)
    prepare(read_manifest(clone / "manifest.csv"), clone, clone / "prepared", steps, "zero_one")
    prepared = read_prepared(clone / "prepared")
    first = decode((clone / "image-0.png").read_bytes())
    np.testing.assert_array_equal(prepared.pixels[0], preprocess(first, steps, 0.2))
    assert not np.array_equal(prepared.pixels[0], preprocess(first, steps, 0.3))
    assert (prepared.images[0].scale, prepared.images[0].image) == (0.2, "image-0.png")


def test_statistics_are_those_of_the_train_side(clone: Path) -> None:
    prepare(read_manifest(clone / "manifest.csv"), clone, clone / "prepared", STEPS, "mean_std")
    prepared = read_prepared(clone / "prepared")
    train = prepared.pixels[[0, 2]].reshape(-1, 3).astype(np.float64)
    assert prepared.statistics.scaling == "mean_std"
    np.testing.assert_allclose(prepared.statistics.mean, train.mean(axis=0), atol=1e-4)
    np.testing.assert_allclose(prepared.statistics.std, train.std(axis=0), atol=1e-4)


def test_missing_and_broken_images_are_named(clone: Path) -> None:
    images = read_manifest(clone / "manifest.csv")
    (clone / "image-1.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"image-1\.png: .*not an image"):
        prepare(images, clone, clone / "prepared", STEPS, "zero_one")
    (clone / "image-1.png").unlink()
    with pytest.raises(DataError, match=r"image-1\.png is not there: .*dvc pull"):
        prepare(images, clone, clone / "prepared", STEPS, "zero_one")


def test_an_empty_manifest_says_where_images_come_from(clone: Path) -> None:
    (clone / "manifest.csv").write_text(HEAD)
    with pytest.raises(DataError, match="hemaloop upload"):
        read_manifest(clone / "manifest.csv")
    with pytest.raises(DataError, match="dvc repro assemble"):
        read_manifest(clone / "nothing.csv")


def test_array_and_index_of_different_runs_are_refused(clone: Path) -> None:
    prepare(read_manifest(clone / "manifest.csv"), clone, clone / "prepared", STEPS, "zero_one")
    index = clone / "prepared" / "index.csv"
    index.write_text("".join(index.read_text().splitlines(keepends=True)[:-1]))
    with pytest.raises(DataError, match="3 images but 2 rows"):
        read_prepared(clone / "prepared")
    with pytest.raises(DataError, match="run `dvc repro prepare`"):
        read_prepared(clone / "nothing")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("alpha", 3.0),
        ("epochs", -1),
        ("dropout", 1.0),
        ("learning_rate", 0.0),
        ("first_block", 18),
        ("batch_images", 0),
    ],
)
def test_training_parameters_out_of_range_are_named(key: str, value: float) -> None:
    good = {
        "seed": 7, "weights": "random", "alpha": 0.35, "batch_images": 8, "head_epochs": 3, "head_learning_rate": 0.01,
        "epochs": 2, "learning_rate": 0.001, "first_block": 3, "dropout": 0.2, "label_smoothing": 0.0,
    }  # fmt: skip
    with pytest.raises(ConfigError, match=key):
        parse_section(good | {key: value}, "params.yaml: train", TrainParams)


def test_pruning_everything_is_refused() -> None:
    values = {
        "seed": 7, "method": "channels", "channels": 0.95, "last_channels": 0.5, "ranking": "unit", "keep_blocks": [0],
        "sparsity": 0.5, "distillation": 0.5, "temperature": 2.0, "batch_images": 8, "epochs": 1,
        "learning_rate": 0.001,
    }  # fmt: skip
    with pytest.raises(ConfigError, match=r"channels: wanted 0 to 0\.9"):
        parse_section(values, "params.yaml: prune", PruneParams)
