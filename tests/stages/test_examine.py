"""The stage examine, on a real .tflite that sees nothing but which colour is brightest: every audit must say so."""

import csv
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from tiny_model import CLASSES, SIZE_PX, tiny_tflite

from hemaloop.errors import ConfigError, DataError
from hemaloop.imaging.decode import encode_png
from hemaloop.imaging.degradations import DEGRADATIONS
from hemaloop.imaging.laboratories import HELD_OUT
from hemaloop.inference.metadata import ModelMetadata, attach
from hemaloop.inference.preprocess import DEFAULT_STEPS, Preprocessing
from hemaloop.model.evaluation.subgroups import read_sites
from hemaloop.model.preparation import prepare
from hemaloop.model.prepared import PreparedImage
from hemaloop.stages import examine

SIDES = ("train",) * 4 + ("validation",) * 2 + ("test",) * 4
ROOT = Path(__file__).parents[2]


def _write(folder: Path, leak: bool = False) -> None:
    """Ten images of each class, of which only the colour tells; `leak`: one more test image that training has seen."""
    rng, images = np.random.default_rng(3), []
    for label, name in enumerate(CLASSES):
        for number, side in enumerate(SIDES):
            pixels = rng.integers(90, 150, (8, 8, 1), np.uint8).repeat(8, 0).repeat(8, 1).repeat(3, 2)
            pixels[..., label] += 30
            images.append(_image(folder, pixels, name, side, f"{name}-{number // 2}"))
            if leak and number == 0:
                images.append(_image(folder, (pixels * 0.95).astype(np.uint8), name, "test", "another"))
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params["classes"] = list(CLASSES)
    params["evaluate"] |= {"bootstrap_rounds": 100, "examined_images": 9, "subgroup_images": 3}
    params["sites"] = {f"pi-{name}": "clinic" for name in CLASSES[:2]}
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    prepare(images, folder, folder / "data/prepared", Preprocessing(DEFAULT_STEPS, SIZE_PX), "zero_one")
    (folder / "models").mkdir()
    (folder / "evaluation").mkdir()
    for name, gain in (("model", 0.03), ("float", 0.06)):
        content = attach(tiny_tflite(gain), ModelMetadata(CLASSES, SIZE_PX))
        (folder / f"models/{name}.tflite").write_bytes(content)
    (folder / "evaluation/quantisation.json").write_text('{"temperature": {"float": 1.0, "shipped": 2.0}}')


def _image(folder: Path, pixels: np.ndarray, label: str, side: str, group: str) -> PreparedImage:
    content = encode_png(pixels)
    sha256 = hashlib.sha256(content).hexdigest()
    (folder / f"{sha256}.png").write_bytes(content)
    stain = "may-grunwald" if label == CLASSES[0] else ""
    return PreparedImage(sha256, label, group, side, f"pi-{label}", stain, "", f"{sha256}.png")


@pytest.fixture(scope="module")
def examined(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("examined")
    _write(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        examine.main()
    return folder


def _json(folder: Path) -> Any:
    return json.loads((folder / "evaluation/examination.json").read_text())


def _csv(folder: Path, name: str) -> list[dict[str, str]]:
    with (folder / f"evaluation/{name}.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_a_model_of_colour_alone_is_found_out(examined: Path) -> None:
    found = _json(examined)["shortcut"]
    assert found["colour_alone"]["macro_sensitivity"] == 1.0
    assert found["model"]["macro_sensitivity"] == 1.0
    assert found["model_on_grey"]["macro_sensitivity"] == pytest.approx(found["chance"])
    assert found["grey_drop_points"] == pytest.approx(100 * 2 / 3, abs=0.01)


def test_every_degradation_and_every_laboratory_is_judged_beside_the_clean_images(examined: Path) -> None:
    rows = _csv(examined, "robustness")
    assert [row["strength"] for row in rows] == ["0", "1", "2", "3", "4", "5"]
    for kind in DEGRADATIONS:
        assert float(rows[0][kind]) == 1.0
        assert all(float(row[f"{kind}_low"]) <= float(row[kind]) <= float(row[f"{kind}_high"]) for row in rows)
    assert all(float(row["blur"]) == 1.0 for row in rows)  # a mean colour does not see blur, but sees the lamp:
    assert float(rows[5]["white_balance"]) < 1.0
    laboratories = _json(examined)["laboratories"]
    assert set(laboratories["shifts"]) == set(HELD_OUT)
    assert (laboratories["images"], laboratories["clean"]) == (9, 1.0)
    assert laboratories["worst_drop_points"] == max(each["drop_points"] for each in laboratories["shifts"].values())


def test_what_the_file_says_of_itself_is_written_down(examined: Path) -> None:
    found = _json(examined)
    assert (found["agreement"]["same_answers"], found["agreement"]["kappa"]) == (1.0, 1.0)
    assert found["agreement"]["largest_probability_difference"] > 0
    assert found["abstention"]["test"] == {
        **dict.fromkeys(("coverage", "coverage_low", "coverage_high"), 1.0),
        **dict.fromkeys(("risk", "risk_low", "risk_high"), 0.0),
        "images": 12,
        "answered": 12,
    }
    assert found["calibration"]["temperature"] == 2.0
    assert found["calibration"]["ece_test_before"] < found["calibration"]["ece_test"]  # this one was too unsure before
    assert {"noise", "even", "clouds", "shuffled", "blur_5"} <= set(found["out_of_distribution"]["against"])
    assert found["subgroups"]["worst"]["macro_sensitivity"] == 1.0
    assert "section sites" in found["subgroups"]["site"]
    assert [(row["kind"], row["name"], row["images"]) for row in _csv(examined, "subgroups")] == [
        *(("device", f"pi-{name}", "4") for name in CLASSES),
        ("stain", "", "8"),
        ("stain", "may-grunwald", "4"),
        ("site", "", "4"),
        ("site", "clinic", "8"),
    ]
    assert sum(int(row["images"]) for row in _csv(examined, "reliability")) == 12
    assert float(_csv(examined, "risk_coverage")[-1]["coverage"]) == 1.0


def test_examining_again_gives_the_same_figures_whatever_the_number_of_threads(
    examined: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = sorted((examined / "evaluation").iterdir())
    before = [path.read_bytes() for path in files]
    monkeypatch.chdir(examined)
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    examine.main()
    assert [path.read_bytes() for path in files] == before


@pytest.mark.parametrize("sites", [["pi-1"], {"pi-1": ""}, {"pi-1": 3}])
def test_sites_that_are_no_names_are_refused(sites: Any) -> None:
    with pytest.raises(ConfigError, match="wanted the site of each device"):
        read_sites(sites)


def test_a_test_image_that_training_has_seen_stops_the_stage_or_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _write(tmp_path, leak=True)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=r"0 test images are .* 3 look like one"):
        examine.main()
    assert not (tmp_path / "evaluation/examination.json").exists()
    params = yaml.safe_load((tmp_path / "params.yaml").read_text())
    params["evaluate"]["leakage"] = "report"
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    examine.main()
    assert (_json(tmp_path)["leakage"]["near"], len(_json(tmp_path)["leakage"]["pairs"])) == (3, 3)
