"""`hemaloop score` says what was seen, on how many slides, and what could not be read."""

import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from tiny_model import CLASSES, SIZE_PX, png, tiny_tflite

from hemaloop.inference.metadata import ModelMetadata, attach
from hemaloop.inference.preprocess import read_steps


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.tflite"
    path.write_bytes(attach(tiny_tflite(), ModelMetadata(CLASSES, SIZE_PX)))
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two classes on two slides each, four images a slide; of the second class one slide is answered wrongly."""
    for place, label in enumerate(CLASSES[:2]):
        for slide in ("s-1", "s-2"):
            for number in range(4):
                path = tmp_path / "cells" / slide / label / f"{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(png(0 if (place, slide) == (1, "s-2") else place))
    return tmp_path / "cells"


def score(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "hemaloop.cli", "score", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=os.environ | {"COLUMNS": "200"})


def test_figures_are_of_slides_and_classes_without_images_are_named(folder: Path, model: Path) -> None:
    done = score(folder, "--model", model, "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["images"], found["groups"], found["groups_are"]) == (16, 2, "slides")
    assert found["macro_sensitivity"] == 0.75  # of the two classes that are there
    assert found["macro_sensitivity_low"] == 0.5
    assert found["confusion"] == [[8, 0, 0], [4, 4, 0], [0, 0, 0]]
    assert found["classes"][CLASSES[2]]["sensitivity"] is None
    told = score(folder, "--model", model).stdout
    assert "macro_sensitivity: 0.750 (0.500 to 1.000)" in told
    assert f"4 {CLASSES[0]}, 4 {CLASSES[1]}" in told
    assert "1 classes have no image here" in told
    assert "too narrow" not in told


def test_what_cannot_be_read_is_told_and_the_rest_is_scored(folder: Path, model: Path) -> None:
    (folder / CLASSES[0]).mkdir()
    (folder / CLASSES[0] / "broken.png").write_bytes(b"text")
    done = score(folder, "--model", model)
    assert done.returncode == 3
    assert "broken.png" in done.stderr
    assert "on 16 images" in done.stdout
    assert "too narrow" in done.stdout  # one image has no slide


def test_a_folder_that_is_no_class_is_refused(folder: Path, model: Path) -> None:
    (folder / "platelet").mkdir()
    (folder / "platelet" / "1.png").write_bytes(png(1))
    done = score(folder, "--model", model)
    assert (done.returncode, "got platelet" in done.stderr) == (3, True)


def test_no_image_is_refused(tmp_path: Path, model: Path) -> None:
    (tmp_path / "none").mkdir()
    done = score(tmp_path / "none", "--model", model)
    assert (done.returncode, "got no image" in done.stderr) == (3, True)


def test_a_scale_that_is_told_counts(tmp_path: Path) -> None:
    """Blue all around, red in the middle: at 0.25 um per pixel the network sees the middle alone."""
    field = np.full((4 * SIZE_PX, 4 * SIZE_PX, 3), (200, 40, 40), np.uint8)
    middle = slice(3 * SIZE_PX // 2, 5 * SIZE_PX // 2)
    field[middle, middle] = (40, 40, 200)
    image, path = tmp_path / "cells" / CLASSES[0] / "1.png", tmp_path / "scaled.tflite"
    image.parent.mkdir(parents=True)
    image.write_bytes(cv2.imencode(".png", field)[1].tobytes())
    steps = read_steps([{"scale": {"um_per_px": 0.25}}])
    path.write_bytes(attach(tiny_tflite(), ModelMetadata(CLASSES, SIZE_PX, steps)))
    told, not_told = (
        json.loads(score(image.parents[1], "--model", path, "--json", *scale).stdout)["macro_sensitivity"]
        for scale in (("--um-per-px", 0.25), ())
    )
    assert (told, not_told) == (1.0, 0.0)
