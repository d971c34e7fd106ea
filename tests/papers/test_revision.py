"""A result says which code made it."""

import subprocess
from pathlib import Path

import pytest

from papers.result import revision


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    for name in ("src/a.py", "papers/results/full/a.json", "papers/dvc.lock", "params.yaml"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("1\n")
    for command in (("init", "-q"), ("add", "-A"), ("-c", "user.name=a", "-c", "user.email=a", "commit", "-qm", "a")):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    return tmp_path


def test_a_result_that_was_just_written_is_no_change_of_the_code(clone: Path) -> None:
    (clone / "papers/results/full/a.json").write_text("2\n")
    (clone / "papers/dvc.lock").write_text("2\n")  # DVC writes it as it goes
    (clone / "src" / "scratch.py").write_text("2\n")  # what git does not know is nobody's code yet
    found = revision(clone)
    assert (len(found["revision"]), found["changed"]) == (40, False)


@pytest.mark.parametrize("name", ["src/a.py", "params.yaml"])
def test_code_and_parameters_that_differ_are_told(clone: Path, name: str) -> None:
    (clone / name).write_text("2\n")
    assert revision(clone)["changed"]
