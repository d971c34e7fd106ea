"""What a run of a published system is given: images on their sides, classes joined as its paper does, and weights."""

import csv
from pathlib import Path

import numpy as np
import pytest
import yaml

from hemaloop.config import read_classes
from hemaloop.errors import ConfigError
from hemaloop.imaging.decode import encode_png
from hemaloop.model.preparation import read_manifest
from papers.degraded import poor
from papers.images import data_folder
from papers.pictures import SHOWN, samples
from papers.systems import params_of, read_systems
from papers.weights import environment_for
from papers.workspace import Drawn, draw_sides, write_workspace

SYSTEMS = read_systems()
FOLDERS = ("Benign", "Early", "Pre", "Pro")
IMAGES = 120  # of a folder: so many that gaps beside test blocks leave some to train on
TRANSFERRED = {"network": "mobilenetv2", "alpha": 1.0}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """all-taleqani with noise in its folders; the last two images of each are the same file."""
    root, rng = tmp_path_factory.mktemp("data"), np.random.default_rng(1)
    for folder in FOLDERS:
        (root / "all-taleqani" / folder).mkdir(parents=True)
        contents = [encode_png(rng.integers(0, 256, (16, 16, 3), np.uint8)) for _ in range(IMAGES - 1)]
        for number, content in enumerate([*contents, contents[-1]]):
            (root / "all-taleqani" / folder / f"x-{number:03d}.png").write_bytes(content)
    return root


def drawn_for(name: str, protocol: str, folder: Path, form: str = "full") -> Drawn:
    system, params = SYSTEMS.named(name), params_of(SYSTEMS, name, protocol, form)
    drawn = draw_sides(SYSTEMS, system, SYSTEMS.form(form), protocol, params, folder)
    write_workspace(folder, system, drawn, params)
    return drawn


@pytest.fixture(autouse=True)
def where(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEMALOOP_TEST_DATA", str(data))


@pytest.mark.parametrize("protocol", ["paper", "honest"])
def test_stages_find_every_image_under_the_class_that_the_paper_gives_it(tmp_path: Path, protocol: str) -> None:
    drawn = drawn_for("streaming", protocol, tmp_path)
    assert read_classes(tmp_path / "params.yaml") == ("normal", "all")
    images = read_manifest(tmp_path / "data" / "manifest.csv")
    assert all((tmp_path / image.image).is_file() for image in images)
    assert {(Path(image.image).parent.name, image.label) for image in images} == {
        ("Benign", "normal"), ("Early", "all"), ("Pre", "all"), ("Pro", "all"),
    }  # fmt: skip
    sides = {side: sum(image.side == side for image in images) for side in ("train", "validation", "test")}
    assert sides == {side: drawn.counts()[side] for side in sides}
    assert all(sides.values())


def test_duplicates_stay_under_the_paper_s_protocol_and_go_under_the_honest_one(tmp_path: Path) -> None:
    found = {protocol: drawn_for("mobilenetv2-256", protocol, tmp_path / protocol) for protocol in ("paper", "honest")}
    contents = {protocol: [each.image.sha256 for each in drawn.placed] for protocol, drawn in found.items()}
    assert len(contents["paper"]) == IMAGES * len(FOLDERS)
    assert len(contents["honest"]) == len(set(contents["honest"])) == (IMAGES - 1) * len(FOLDERS)


def test_leaks_are_told_under_the_paper_s_protocol_and_refused_under_the_honest_one(tmp_path: Path) -> None:
    for protocol, wanted in (("paper", "report"), ("honest", "refuse")):
        drawn_for("streaming", protocol, tmp_path / protocol, "quick")
        assert yaml.safe_load((tmp_path / protocol / "params.yaml").read_text())["evaluate"]["leakage"] == wanted


def test_without_the_images_it_is_said_what_to_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="HEMALOOP_TEST_DATA is not set"):
        data_folder("all-taleqani", {})
    monkeypatch.setenv("HEMALOOP_TEST_DATA", str(tmp_path))
    with pytest.raises(ConfigError, match="there is no folder"):
        drawn_for("streaming", "honest", tmp_path)


@pytest.mark.parametrize(
    ("train", "passed"),
    [
        (TRANSFERRED, True),
        (TRANSFERRED | {"alpha": 0.35}, False),
        (TRANSFERRED | {"network": "nasnetmobile"}, False),
    ],
)
def test_a_single_file_of_weights_is_for_the_network_of_its_name_alone(
    tmp_path: Path, train: dict[str, object], passed: bool
) -> None:
    file = tmp_path / "mobilenet_v2_1.0_160_no_top.h5"
    file.touch()
    given = environment_for(train, {"HEMALOOP_WEIGHTS": str(file), "HOME": "/"})
    assert given == ({"HEMALOOP_WEIGHTS": str(file)} if passed else {}) | {"HOME": "/"}


def test_a_folder_of_weights_is_for_every_network(tmp_path: Path) -> None:
    for network in ("mobilenetv2", "nasnetmobile"):
        environment = {"HEMALOOP_WEIGHTS": str(tmp_path)}
        assert environment_for({"network": network, "alpha": 0.35}, environment) == environment


def test_a_poor_camera_and_network_blur_tint_and_block_and_the_same_each_time() -> None:
    image = np.full((120, 120, 3), 230, np.uint8)
    image[40:80, 40:80] = (110, 60, 150)
    seen = poor(image, seed=3)
    np.testing.assert_array_equal(seen, poor(image, seed=3))
    assert (seen.shape, seen.dtype) == (image.shape, image.dtype)
    glass = seen[5:30, 5:30].reshape(-1, 3).astype(float)
    assert abs(glass.mean(axis=0)[0] - glass.mean(axis=0)[2]) > 20  # a lamp of another colour
    assert np.abs(np.diff(seen[60, 34:46, 1].astype(int))).max() < 150  # no sharp edge of 170 levels
    assert (poor(image, seed=4) != seen).any()


def test_sample_images_tell_the_actual_and_the_predicted_class(tmp_path: Path) -> None:
    assert samples(tmp_path) == ()
    drawn_for("streaming", "honest", tmp_path)
    tested = [image for image in read_manifest(tmp_path / "data" / "manifest.csv") if image.side == "test"]
    with (tmp_path / "evaluation" / "predictions.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["sha256", "actual", "predicted", "p_normal", "p_all"])
        writer.writerows([image.sha256, image.label, "all", 0.25, 0.75] for image in tested)
    found = samples(tmp_path)
    assert len(found) == SHOWN
    assert {picture.title for picture in found} <= {"normal, seen as all", "all, seen as all"}
    assert {picture.note for picture in found} == {"75 % sure"}
