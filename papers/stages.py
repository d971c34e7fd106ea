"""Run the real stages of dvc.yaml in another folder; what is done and unchanged is not done again."""

import hashlib
import json
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hemaloop.config import read_mapping
from hemaloop.errors import PREFIX, HemaloopError, error_class
from hemaloop.files import write_atomically
from papers.weights import PLACE

WANTED = ("prepare", "train", "prune", "quantise", "evaluate", "examine")


@dataclass(frozen=True)
class Stage:
    """A stage as dvc.yaml describes it."""

    name: str
    code: tuple[str, ...]  # files, from the project's root
    params: tuple[str, ...]  # dotted keys
    inputs: tuple[str, ...]  # other deps
    outputs: tuple[str, ...]


def read_stages(path: Path) -> tuple[Stage, ...]:
    """Those of WANTED that dvc.yaml has, in their order."""
    described = read_mapping(path)["stages"]
    return tuple(_stage(name, described[name]) for name in WANTED if name in described)


def _stage(name: str, described: Mapping[str, Any]) -> Stage:
    deps = [dep for dep in described["deps"] if "${" not in dep]
    outputs = [*described.get("outs", ()), *described.get("metrics", ())]
    return Stage(
        name,
        tuple(dep for dep in deps if dep.startswith("src/")),
        tuple(described.get("params", ())),
        tuple(dep for dep in deps if not dep.startswith("src/")),
        tuple(next(iter(out)) if isinstance(out, Mapping) else out for out in outputs),
    )


def run_stages(
    folder: Path, root: Path, stages: tuple[Stage, ...], params: Mapping[str, Any], environment: Mapping[str, str]
) -> dict[str, float]:
    """Run what is not done yet in `folder`, which holds params.yaml and data/manifest.csv.

    Returns:
        Seconds that each stage took, when it was run last.

    Raises:
        HemaloopError: a stage failed; the class and the message are the stage's own.
    """
    seconds = {}
    for stage in stages:
        key = key_of(stage, folder, root, params, environment.get(PLACE, ""))
        seconds[stage.name] = _run_once(folder, root, stage, key, environment)
    return seconds


def key_of(stage: Stage, folder: Path, root: Path, params: Mapping[str, Any], weights: str) -> str:
    """What a stage's outcome depends on, as one SHA-256: code, parameters, what it reads, where weights lie.

    As DVC does, by the content of what earlier stages wrote: where changed code wrote the same, nothing follows.
    """
    found = hashlib.sha256()
    for path in stage.code:
        found.update((root / path).read_bytes())
    read = {key: _dig(params, key) for key in stage.params}
    contents = {name: digest_of(folder / name) for name in stage.inputs}
    found.update(json.dumps([stage.name, read, contents, weights], sort_keys=True).encode())
    return found.hexdigest()


def digest_of(path: Path) -> str:
    """SHA-256 of a file, or of the names and contents in a folder; "" of what is not there."""
    files = sorted(each for each in path.rglob("*") if each.is_file()) if path.is_dir() else [path]
    found = hashlib.sha256()
    for each in files:
        if not each.exists():
            return ""
        with each.open("rb") as stream:
            found.update(f"{each.relative_to(path)} {hashlib.file_digest(stream, 'sha256').hexdigest()}\n".encode())
    return found.hexdigest()


def _dig(params: Mapping[str, Any], key: str) -> Any:
    value: Any = params
    for part in key.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _run_once(folder: Path, root: Path, stage: Stage, key: str, environment: Mapping[str, str]) -> float:
    done = folder / "done" / f"{stage.name}.json"
    if done.exists():
        known = json.loads(done.read_text())
        if known["key"] == key and all((folder / name).exists() for name in stage.outputs):
            return float(known["seconds"])
        done.unlink()
    seconds = _run(folder, root, stage.name, environment)
    write_atomically(done, json.dumps({"key": key, "seconds": seconds}).encode())
    return seconds


def _run(folder: Path, root: Path, name: str, environment: Mapping[str, str]) -> float:
    """One stage as dvc.yaml runs it, with this project's code; its words go to <folder>/log/<name>.txt."""
    log = folder / "log" / f"{name}.txt"
    log.parent.mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    with log.open("wb") as stream:
        command = [sys.executable, "-m", f"hemaloop.stages.{name}"]
        own = {**environment, "PYTHONPATH": str(root / "src")}
        ended = subprocess.run(command, cwd=folder, env=own, stdout=stream, stderr=subprocess.STDOUT)
    if ended.returncode != 0:
        raise _error(ended.returncode, name, log)
    return round(time.monotonic() - start, 2)


def _error(code: int, name: str, log: Path) -> HemaloopError:
    lines = log.read_text(errors="replace").strip().splitlines()
    told = next((line for line in reversed(lines) if line.startswith(PREFIX)), lines[-1] if lines else "")
    return error_class(code)(f"stage {name}: {told.removeprefix(PREFIX)} (all it said: {log})")
