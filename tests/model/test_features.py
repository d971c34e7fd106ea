"""S5's features, of regions whose features are known."""

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from hemaloop import cli
from hemaloop.imaging.decode import encode_png
from hemaloop.inference.preprocess import Preprocessing, read_steps
from hemaloop.inference.steps.picture import Picture
from hemaloop.inference.steps.stains import Macenko, WhiteBalance
from hemaloop.model.features.shape import shape
from hemaloop.model.features.statistics import statistics
from hemaloop.model.features.table import features_of
from hemaloop.model.features.texture import texture


def disc(radius: int) -> np.ndarray:
    image = np.zeros((2 * radius + 5, 2 * radius + 5), np.uint8)
    return cv2.circle(image, (radius + 2, radius + 2), radius, 1, cv2.FILLED).astype(bool)


def cell(radius: int = 20, colour: tuple[int, int, int] = (110, 60, 150)) -> np.ndarray:
    image = np.full((120, 140, 3), 240, np.uint8)
    cv2.circle(image, (110, 30), 15, (205, 150, 150), cv2.FILLED)
    return cv2.circle(image, (50, 60), radius, colour, cv2.FILLED)


def test_a_disc_is_as_compact_as_can_be_and_a_square_less() -> None:
    found = shape(disc(40))
    assert found["area"] == pytest.approx(np.pi * 40**2, rel=0.03)
    assert found["perimeter"] == pytest.approx(2 * np.pi * 40, rel=0.06)
    assert found["compactness"] == pytest.approx(1, abs=0.12)
    square = shape(np.ones((50, 50), bool))
    assert square["perimeter"] == pytest.approx(4 * 49)
    assert square["compactness"] > found["compactness"] + 0.1


def test_one_even_level_has_all_its_texture_at_one() -> None:
    mask = disc(12)
    found = texture(np.full(mask.shape, 77, np.uint8), mask)
    assert found == {"uniformity": 1.0, "energy": 1.0, "second_angular_moment": 1.0}


def test_a_chessboard_has_two_levels_and_each_neighbour_the_other() -> None:
    """p(0) = p(1) = 1/2; pairs along rows and columns are (0, 1) and (1, 0), along diagonals (0, 0) and (1, 1)."""
    board = (np.indices((32, 32)).sum(axis=0) % 2 * 200).astype(np.uint8)
    found = texture(board, np.ones(board.shape, bool))
    assert found["uniformity"] == pytest.approx(0.5)
    assert found["second_angular_moment"] == pytest.approx(0.5, abs=1e-3)
    assert found["energy"] == pytest.approx(0.5**0.5, abs=1e-3)


def test_what_is_around_the_cell_does_not_count() -> None:
    levels, mask = np.random.default_rng(1).integers(0, 256, (40, 40)).astype(np.uint8), np.zeros((40, 40), bool)
    mask[10:30, 10:30] = True
    other = np.where(mask, levels, 255 - levels).astype(np.uint8)
    assert texture(levels, mask) == texture(other, mask)


def test_statistics_are_those_of_their_equations() -> None:
    assert statistics(np.array([0, 0, 0, 100], np.uint8)) == pytest.approx(
        {"mean": 25, "variance": 1875, "skewness": 2 / 3**0.5}
    )
    assert statistics(np.full(9, 5, np.uint8)) == {"mean": 5, "variance": 0, "skewness": 0}


def test_the_cell_is_the_purple_region_whatever_is_around_it() -> None:
    found = features_of("an image", cell())
    assert found.area == pytest.approx(np.pi * 20**2, rel=0.03)
    assert (found.red, found.green, found.blue) == (110, 60, 150)
    assert found.variance == 0
    assert found.hue == pytest.approx(310, abs=10)
    assert features_of("a field", np.full((50, 50, 3), 200, np.uint8)).problem == "no cell"


def test_the_command_writes_a_row_an_image_and_says_what_it_could_not_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, content in (("a.png", encode_png(cell(20))), ("b.png", encode_png(cell(10))), ("c.png", b"no image")):
        (tmp_path / name).write_bytes(content)
    with pytest.raises(SystemExit) as ended:
        cli.main(["features", str(tmp_path), "--output", str(tmp_path / "out" / "features.csv")])
    assert ended.value.code == 3
    assert "3 images, 1 of them without features" in capsys.readouterr().out
    rows = list(csv.DictReader((tmp_path / "out" / "features.csv").read_text().splitlines()))
    assert [Path(row["image"]).name for row in rows] == ["a.png", "b.png", "c.png"]
    assert float(rows[0]["area"]) > 3 * float(rows[1]["area"])
    assert "not an image" in rows[2]["problem"]
    assert rows[2]["area"] == ""


def test_the_command_learns_a_stain(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.png").write_bytes(encode_png(cell(20)))
    with pytest.raises(SystemExit) as ended:
        cli.main(["features", str(tmp_path), "--stain"])
    assert ended.value.code == 0
    assert "- macenko: {nuclear_red: " in capsys.readouterr().out


def test_a_learned_stain_can_be_pasted_into_params(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Also where a third colour makes the fit say that a dye lights up, as it does of some real cells."""
    image = np.full((120, 120, 3), 240, np.uint8)
    image[10:50, 10:50], image[60:100, 60:110], image[60:100, 5:45] = (110, 40, 240), (235, 120, 80), (90, 220, 220)
    (tmp_path / "a.png").write_bytes(encode_png(image))
    found = Macenko().learn(WhiteBalance().apply(Picture(image), 1).pixels)
    assert found is not None
    assert found[0].min() < -0.1
    with pytest.raises(SystemExit) as ended:
        cli.main(["features", str(tmp_path), "--stain"])
    assert ended.value.code == 0
    steps = yaml.safe_load(capsys.readouterr().out)
    assert [type(step).__name__ for step in Preprocessing(read_steps(steps), 64).ready] == ["Reinhard", "Macenko"]


def test_a_stain_cannot_be_learned_of_a_file_that_is_not_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["features", str(tmp_path / "gone.png"), "--stain"])
    assert ended.value.code == 3
    assert "gone.png: cannot be read: No such file" in capsys.readouterr().err
