"""Killed anywhere, versioning ends with the same, single commit."""

import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from a_project import Project, git
from killed_writer import MANY
from some_images import PARAMS, batch, read

from hemaloop.dataset.manifest import assemble

pytestmark = pytest.mark.slow

# In the order of `Workspace.version`: each one starts from what the one before has left. Only the last may come too
# late: the push that it leaves running ends as it likes.
KILLS = [
    (" clone ", "0.005", "all"),
    (" checkout ", "0", "alone"),
    ("read", "0", "all"),
    (" fetch ", "0", "alone"),
    ("files:cache", "0", "all"),
    ("dvc add", "0.3", "alone"),
    ("files:bucket", "0", "all"),
    (" add --", "0", "all"),
    (" commit ", "0.002", "all"),
    (" push --quiet ", "0", "all"),
    (" push --quiet ", "0.005", "alone"),
]


def test_killed_anywhere_it_ends_with_the_same_single_commit(project: Project) -> None:
    git(project.folder, "clone", "-q", "--bare", "origin.git", "quiet.git")
    quiet = replace(project, origin=project.folder / "quiet.git", remote=project.remote)
    for marker, seconds, which in KILLS[:-1]:
        assert killed(project.folder, marker, seconds, which), f"{marker} was never reached"
    killed(project.folder, *KILLS[-1])
    given = batch("one", MANY)
    revision = project.workspace().version(given, read, PARAMS)
    assert project.log(f"^Batch: {given.id}") == [revision.commit]

    fresh = project.workspace("fresh", "fresh-cache")
    fresh.synchronise()
    fresh.pull()
    assert len(assemble(fresh.folder / "data/batches", ("lymphocyte", "monocyte")).rows) == MANY
    quiet.workspace("undisturbed").version(given, read, PARAMS)
    assert project.files() == quiet.files()


def killed(folder: Path, marker: str, seconds: str, which: str) -> bool:
    command = [sys.executable, str(Path(__file__).with_name("killed_writer.py")), str(folder), marker, seconds, which]
    done = subprocess.run(command, capture_output=True, text=True, start_new_session=True)
    assert done.returncode in (0, -signal.SIGKILL), done.stdout + done.stderr
    return done.returncode != 0
