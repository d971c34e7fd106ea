"""Promise 1: no upload is lost, none counts twice, whatever dies, and whenever."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from hemaloop.embedded import Server

pytestmark = [pytest.mark.slow]


def drill(work: Path, *arguments: str) -> dict[str, Any]:
    script = Path(__file__).with_name("kill_drill.py")
    command = [sys.executable, "-W", "ignore", str(script), str(work), *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr[-3000:]
    found: dict[str, Any] = json.loads(ended.stdout)
    return found


def test_killed_at_any_effect_before_git_and_run_again_it_seals_the_same_batch() -> None:
    """Every twelfth effect; `kill_drill.py WORK early` tries them all."""
    memory = "/dev/shm" if Path("/dev/shm").is_dir() else None  # many small sites need no disk
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        found = drill(Path(folder) / "drill", "early", "12")
    assert found["points"] > 30
    assert found["differences"] == {}


def test_killed_in_git_or_before_the_ledger_knows_it_ends_with_one_commit_of_the_batch(
    bucket_server: Server, tmp_path: Path
) -> None:
    found = drill(tmp_path / "drill", "late")
    killed = {code for name, code in found["ended"].items() if name != "nothing left to do"}
    assert killed == {-9}
    ((batch, _, _),) = found["sealed"]
    assert sum(f"Batch: {batch}" in commit for commit in found["commits"]) == 1
    assert sum("Batch: " in commit for commit in found["commits"]) == 1
    assert f"data/batches/{batch}.csv" in found["files"]
    assert found["left"] == []
    assert found["states"] == ["duplicate", "quarantined", "versioned"]
    assert found["unchanged"]
