"""`hemaloop fields`: fields in; cells, crops, pictures, tables and figures out."""

import csv
import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from drawn_field import Disc, draw_discs, reds, voc, white
from tiny_model import CLASSES, SIZE_PX, tiny_tflite

from hemaloop.cli import main
from hemaloop.fields.field import Field, Reader, Refused
from hemaloop.imaging.decode import decode, encode_png
from hemaloop.inference.metadata import ModelMetadata, attach

UM_PER_PX = 0.1
CELLS = {"f_1": white(20, 18), "f_2": [*white(20, 18), *white(42, 22)]}


@pytest.fixture
def fields(tmp_path: Path) -> Path:
    """images/ and boxes/: f_1 with one white cell, f_2 with two."""
    (tmp_path / "images").mkdir()
    (tmp_path / "boxes").mkdir()
    for name, cells in CELLS.items():
        around = reds(60, 42, cells)
        image = draw_discs(around + cells, UM_PER_PX, 600, 420)
        (tmp_path / "images" / f"{name}.png").write_bytes(encode_png(image))
        rows = [("WBC", cell.box(UM_PER_PX)) for cell in cells[::2]]
        rows += [("RBC", cell.box(UM_PER_PX)) for cell in around[: len(around) // 2]]
        (tmp_path / "boxes" / f"{name}.xml").write_bytes(voc(rows))
    return tmp_path


def run(fields: Path, *arguments: str) -> int:
    params = Path(__file__).parents[2] / "params.yaml"
    with pytest.raises(SystemExit) as ended:
        main(["fields", str(fields / "images"), "--params", str(params), *arguments])
    assert isinstance(ended.value.code, int)
    return ended.value.code


def rows_of(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text().splitlines()))


def test_cells_are_found_cut_out_classified_and_checked(
    fields: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, out = tmp_path / "model.tflite", tmp_path / "out"
    model.write_bytes(attach(tiny_tflite(), ModelMetadata(CLASSES, SIZE_PX)))
    assert run(fields, "--boxes", str(fields / "boxes"), "--model", str(model), "--output", str(out)) == 0
    assert "2 fields, 3 white cells" in capsys.readouterr().out
    cells = rows_of(out / "cells.csv")
    assert [row["file"] for row in cells] == ["f_1.png", "f_2.png", "f_2.png"]
    assert {row["annotated"] for row in cells} == {"1"}
    assert all(row["label"] in CLASSES and float(row["iou"]) > 0.6 for row in cells)
    crops = [decode((out / "crops" / row["crop"]).read_bytes()) for row in cells]
    assert all(abs(crop.shape[0] * UM_PER_PX - 24) < 3 for crop in crops)  # field_um of params.yaml
    assert sorted(path.name for path in (out / "pictures").iterdir()) == ["f_1.jpg", "f_2.jpg"]
    figures = json.loads((out / "fields.json").read_text())["parts"]
    assert set(figures) == {"all", "development", "held_out"}
    assert figures["all"]["white_cells"]["recall"]["value"] == 1
    assert figures["all"]["scale"]["coverage"]["value"] == 1


def test_fields_of_one_name_in_two_folders_keep_their_own_pictures_and_crops(fields: Path, tmp_path: Path) -> None:
    for day in ("monday", "tuesday"):
        (fields / "images" / day).mkdir()
        shutil.copy(fields / "images/f_1.png", fields / "images" / day)
    assert run(fields, "--um-per-px", "0.1", "--output", str(tmp_path / "out")) == 0
    pictures = {
        path.relative_to(tmp_path / "out/pictures").as_posix() for path in tmp_path.glob("out/pictures/**/*.jpg")
    }
    assert pictures == {"f_1.jpg", "f_2.jpg", "monday/f_1.jpg", "tuesday/f_1.jpg"}
    crops = [tmp_path / "out/crops" / row["crop"] for row in rows_of(tmp_path / "out/cells.csv")]
    assert len(set(crops)) == len(crops) == 5
    assert all(crop.is_file() for crop in crops)


def test_a_scale_that_is_told_is_used(fields: Path, tmp_path: Path) -> None:
    assert run(fields, "--um-per-px", "0.1", "--output", str(tmp_path / "out")) == 0
    rows = rows_of(tmp_path / "out/fields.csv")
    assert [row["um_per_px"] for row in rows] == ["0.1", "0.1"]
    assert all(row["estimated_um_per_px"] != "0.1" for row in rows)


def test_a_part_alone_can_be_asked_for(fields: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(fields, "--part", "held_out") == 0
    assert "1 fields, 1 white cells" in capsys.readouterr().out


def test_what_cannot_be_read_is_refused_and_the_rest_is_done(
    fields: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (fields / "images/f_3.jpg").write_bytes(b"no image")
    (fields / "boxes/f_1.xml").unlink()
    assert run(fields, "--boxes", str(fields / "boxes"), "--output", str(tmp_path / "out")) == 3
    rows = {row["file"]: row["refused"] for row in rows_of(tmp_path / "out/fields.csv")}
    assert rows["f_2.png"] == ""
    assert "no annotation" in rows["f_1.png"]
    assert rows["f_3.jpg"]
    assert "refused" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("--um-per-px", "0"), 2, "--um-per-px 0"),
        (("--model", "none.tflite"), 2, "none.tflite is no file"),
        (("--boxes", "none"), 2, "none is no folder"),
    ],
)
def test_wrong_usage_is_refused(
    fields: Path, arguments: tuple[str, ...], code: int, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(fields, *arguments) == code
    assert told in capsys.readouterr().err


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    assert run(tmp_path) == 3


def test_where_nothing_tells_the_scale_a_field_is_kept_without_cells(tmp_path: Path) -> None:
    path = tmp_path / "blank.png"
    path.write_bytes(encode_png(np.full((120, 160, 3), 230, np.uint8)))
    read = Reader(field_um=24, iou=0.5).read(path)
    assert isinstance(read, Field)
    assert (read.um_per_px, read.cells) == (None, ())
    assert isinstance(Reader(field_um=24, iou=0.5).read(tmp_path / "gone.png"), Refused)


def test_pictures_show_what_was_found_wrong_and_missed(fields: Path, tmp_path: Path) -> None:
    wrong = Disc(50, 36, 6, (0, 0, 0)).box(UM_PER_PX)
    (fields / "boxes/f_1.xml").write_bytes(voc([("WBC", wrong)]))
    assert run(fields, "--boxes", str(fields / "boxes"), "--output", str(tmp_path / "out")) == 0
    drawn = cv2.imread(str(tmp_path / "out/pictures/f_1.jpg"))[..., ::-1].astype(int)
    missed = drawn[wrong.top + 5 : wrong.bottom - 5, wrong.left - 1 : wrong.left + 2].reshape(-1, 3)
    assert (np.abs(missed - (255, 176, 0)).sum(axis=1) < 150).any()  # amber: annotated, not found
    assert ((drawn[..., 0] > 180) & (drawn[..., 1] < 90) & (drawn[..., 2] < 90)).any()  # red: nobody annotated it
