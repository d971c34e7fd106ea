"""The command line: quick help, clear refusals, the right exit code."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tiny_model import CLASSES, SIZE_PX, png, tiny_tflite

from hemaloop.cli import COMMANDS
from hemaloop.inference.metadata import ModelMetadata, attach

ROOT = Path(__file__).parents[2]


def hemaloop(*arguments: str, cwd: Path = ROOT, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run the real command, with only these HEMALOOP_* settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HEMALOOP_", "PREFECT_"))}
    line = [sys.executable, "-m", "hemaloop.cli", *arguments]
    return subprocess.run(line, cwd=cwd, env=kept | environment, capture_output=True, text=True, timeout=120)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.tflite"
    path.write_bytes(attach(tiny_tflite(), ModelMetadata(CLASSES, SIZE_PX)))
    return path


def test_help_takes_less_than_a_third_of_a_second() -> None:
    hemaloop("--help")  # compiled and in the cache of files
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        hemaloop("--help")
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 0.3


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str) -> None:
    done = hemaloop(command, "--help")
    assert done.returncode == 0
    assert done.stdout.startswith(f"usage: hemaloop {command}")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("upload", "tests", "--device", "pi-1"), "has no images"),
        (("upload", "nowhere", "--device", "pi-1"), "is no folder"),
        (("import", "tests"), "say with --device"),
        (("import", "tests", "--device", "pi 1"), "device 'pi 1'"),
        (("import", "tests", "--device", "pi-1", "--map", "WBC"), "wanted NAME=CLASS"),
        (("import", "tests", "--device", "pi-1", "--captured-at", "today"), "wanted an ISO 8601 time"),
        (("import", "tests", "--csv", "a.csv", "--voc"), "not allowed with"),
        (("classify", "x.jpg", "--model", "nowhere.tflite"), "give a .tflite with --model"),
        (("why",), "the following arguments are required: KEY"),
        (("approve", "1"), "--key"),
        (("demo", "--set", "epochs"), "wanted NAME=VALUE"),
        (("demo", "--home", "src", "--images", "tests"), "is not empty and is no demo's"),
        (("demo", "--pages", "--home", "tests"), "holds no demo"),
    ],
)
def test_wrong_usage_ends_with_2_and_says_what_to_do(arguments: tuple[str, ...], told: str) -> None:
    done = hemaloop(*arguments)
    assert done.returncode == 2, done.stderr
    assert told in done.stderr


def test_no_bucket_ends_with_2_and_names_the_setting(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png(1))
    for url in ("", "ftp://x"):
        done = hemaloop("upload", str(tmp_path), "--device", "pi-1", HEMALOOP_BUCKET=url)
        assert done.returncode == 2
        assert "HEMALOOP_BUCKET" in done.stderr


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({}, "HEMALOOP_WATCH_TOKEN to a secret"),
        ({"HEMALOOP_WATCH_TOKEN": ""}, "HEMALOOP_WATCH_TOKEN to a secret"),
        ({"HEMALOOP_WATCH_TOKEN": "two words"}, "one word"),
        ({"HEMALOOP_WATCH_TOKEN": "t", "HEMALOOP_BUCKET": ""}, "no bucket is set"),
    ],
)
def test_a_watch_that_anybody_or_nobody_could_wake_does_not_start(settings: dict[str, str], told: str) -> None:
    done = hemaloop("watch", **({"HEMALOOP_BUCKET": "s3://x"} | settings))
    assert done.returncode == 2, done.stderr
    assert told in done.stderr


def test_a_bucket_that_is_not_there_ends_with_2(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png(1))
    done = hemaloop("upload", str(tmp_path), "--device", "pi-1", HEMALOOP_BUCKET=f"file://{tmp_path}/none")
    assert done.returncode == 2
    assert "create it" in done.stderr


def test_a_server_that_is_away_ends_with_75(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png(1))
    away = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
    done = hemaloop("upload", str(tmp_path), "--device", "pi-1", HEMALOOP_BUCKET="s3://x", AWS_MAX_ATTEMPTS="1", **away)
    assert done.returncode == 75, done.stderr
    assert "cannot be reached" in done.stderr


def test_an_unknown_class_ends_with_3_and_names_the_classes(tmp_path: Path) -> None:
    (tmp_path / "blast").mkdir()
    (tmp_path / "blast/a.png").write_bytes(png(1))
    done = hemaloop("import", str(tmp_path), "--device", "pi-1", HEMALOOP_BUCKET="s3://x")
    assert done.returncode == 3
    assert "'blast' is no class of params.yaml (basophil" in done.stderr


def test_an_upload_nobody_saw_ends_with_3(tmp_path: Path) -> None:
    done = hemaloop("why", "uploads/pi-1/2026/01/31/x.jpg", HEMALOOP_HOME=str(tmp_path))
    assert done.returncode == 3
    assert "never seen" in done.stderr


def test_importing_twice_changes_nothing(tmp_path: Path) -> None:
    for name in ("images/neutrophil", "bucket"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "images/neutrophil/a b.png").write_bytes(png(1))
    line = ("import", str(tmp_path / "images"), "--device", "pi-1", "--slide", "s-1")
    found = []
    for _ in range(2):
        done = hemaloop(*line, HEMALOOP_BUCKET=f"file://{tmp_path}/bucket")
        assert done.returncode == 0, done.stderr
        found.append({path: path.read_bytes() for path in (tmp_path / "bucket").rglob("*") if path.is_file()})
    assert found[0] == found[1]
    assert len(found[0]) == 2
    sidecar = json.loads(next(data for path, data in found[0].items() if path.suffix == ".json"))
    assert (sidecar["label"], sidecar["slide"], sidecar["labelled_by"]) == ("neutrophil", "s-1", "folder name")


def test_classify_goes_on_after_an_unreadable_file_and_ends_with_3(tmp_path: Path, model: Path) -> None:
    for name, data in (("1.png", png(0)), ("2.jpg", b"text"), ("3.png", png(2))):
        (tmp_path / name).write_bytes(data)
    done = hemaloop(
        "classify", *(str(tmp_path / f) for f in ("1.png", "2.jpg", "3.png")), "--model", str(model), "--json"
    )
    assert done.returncode == 3
    first, second, third = map(json.loads, done.stdout.splitlines())
    assert set(first) == {"path", "label", "probabilities", "model", "latency_ms"}
    assert (first["label"], third["label"]) == (CLASSES[0], CLASSES[2])
    assert sum(first["probabilities"].values()) == pytest.approx(1, abs=1e-4)
    assert set(second) == {"path", "error"}


def test_classify_for_people(tmp_path: Path, model: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images/1.png").write_bytes(png(1))
    done = hemaloop("classify", str(tmp_path / "images"), "--model", str(model))
    assert done.returncode == 0
    assert f"1.png: {CLASSES[1]}" in done.stdout
