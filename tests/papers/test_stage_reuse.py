"""A run that was stopped goes on where it stopped; what would come out otherwise is done again."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from hemaloop.errors import ConfigError, HemaloopError
from papers.stages import read_stages, run_stages
from papers.weights import are_missing

STAGE = '''"""Counts its runs, and writes what it reads and its setting."""
from pathlib import Path
import sys
place = Path("evaluation/{name}.txt")
place.parent.mkdir(exist_ok=True)
place.write_text((place.read_text() if place.exists() else "") + "x")
written = Path("{output}")
written.parent.mkdir(exist_ok=True)
written.write_text(Path("{input}").read_text() + Path("{name}-setting").read_text())
if Path("broken-{name}").exists():
    sys.stderr.write("hemaloop: it is broken\\n")
    sys.exit(2)
'''
STAGES: dict[str, dict[str, Any]] = {
    "prepare": {"deps": ["papers/presets/${preset}.yaml", "data/manifest.csv"], "outs": ["data/prepared"]},
    "train": {"deps": ["data/prepared"], "outs": ["models/trained.keras"]},
    "evaluate": {"deps": ["models/trained.keras"], "metrics": [{"evaluation/metrics.json": {"cache": False}}]},
}
WRITTEN = {"prepare": "data/prepared", "train": "models/trained.keras", "evaluate": "evaluation/metrics.json"}
PARAMS = {"prepare": {"size_px": 32}, "train": {"seed": 7}, "evaluate": {"seed": 7}}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project of three stages that are run like ours."""
    stages: dict[str, Any] = {}
    for package in ("hemaloop", "hemaloop/stages"):
        (tmp_path / "src" / package).mkdir(parents=True)
        (tmp_path / "src" / package / "__init__.py").touch()
    for name, described in STAGES.items():
        path = tmp_path / "src" / "hemaloop" / "stages" / f"{name}.py"
        reads, writes = described["deps"][-1], WRITTEN[name]
        path.write_text(STAGE.format(name=name, input=reads, output=writes))
        code = [f"src/hemaloop/stages/{name}.py"]
        stages[name] = {**described, "deps": described["deps"] + code, "params": [f"{name}"]}
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}))
    (tmp_path / "work" / "data").mkdir(parents=True)
    (tmp_path / "work" / "data" / "manifest.csv").write_text("image\n")
    return tmp_path


def counted(root: Path, params: Mapping[str, Any] = PARAMS) -> tuple[int, ...]:
    """Runs of each stage so far, after one more call."""
    for name, setting in params.items():
        (root / "work" / f"{name}-setting").write_text(str(setting))
    run_stages(root / "work", root, read_stages(root / "dvc.yaml"), params, os.environ)
    return tuple(len((root / "work" / "evaluation" / f"{name}.txt").read_text()) for name in STAGES)


def test_what_is_done_is_not_done_again(root: Path) -> None:
    assert counted(root) == (1, 1, 1)
    assert counted(root) == (1, 1, 1)


def test_another_parameter_repeats_its_stage_and_what_follows(root: Path) -> None:
    counted(root)
    assert counted(root, PARAMS | {"train": {"seed": 8}}) == (1, 2, 2)


def test_another_manifest_or_code_repeats_all_that_rests_on_it(root: Path) -> None:
    counted(root)
    (root / "work" / "data" / "manifest.csv").write_text("image\nx.jpg\n")
    assert counted(root) == (2, 2, 2)
    _mend(root, "evaluate")
    assert counted(root) == (2, 2, 3)


def test_where_changed_code_gives_the_same_nothing_follows(root: Path) -> None:
    counted(root)
    _mend(root, "prepare")
    assert counted(root) == (2, 1, 1)


def test_what_is_gone_is_made_again(root: Path) -> None:
    counted(root)
    (root / "work" / "models" / "trained.keras").unlink()
    assert counted(root) == (1, 2, 1)


def _mend(root: Path, name: str) -> None:
    path = root / "src" / "hemaloop" / "stages" / f"{name}.py"
    path.write_text(path.read_text() + "# mended\n")


def test_a_stage_that_failed_is_named_and_run_again(root: Path) -> None:
    fault = root / "work" / "broken-train"
    fault.touch()
    with pytest.raises(ConfigError, match="stage train: it is broken"):
        counted(root)
    fault.unlink()
    assert counted(root) == (1, 2, 1)


def test_a_stage_that_died_is_no_result(root: Path) -> None:
    path = root / "src" / "hemaloop" / "stages" / "train.py"
    path.write_text("import os; os.abort()")
    with pytest.raises(HemaloopError, match="stage train"):
        counted(root)
    assert not (root / "work" / "done" / "train.json").exists()
    assert json.loads((root / "work" / "done" / "prepare.json").read_text())["key"]


def test_only_weights_that_cannot_be_had_are_a_reason_to_skip() -> None:
    gone = ConfigError("stage train: train.weights: imagenet cannot be downloaded (no network): put it into /a/folder")
    wrong = ConfigError("stage train: train.weights '/a/file.h5' do not fit MobileNetV2 of alpha 1.0: layers differ")
    assert are_missing(gone)
    assert not are_missing(wrong)
