"""What a run found, as one JSON that DVC reads as metrics."""

import csv
import json
import subprocess
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hemaloop.dataset.records import TEST
from hemaloop.imaging.decode import decode
from papers.degraded import degraded_figures
from papers.reference import reference, times_faster
from papers.systems import ROOT, System
from papers.workspace import LINK, Drawn

FILES = {"float": "float.tflite", "shipped": "model.tflite"}
# Of metrics.json: who is who.
_MODELS = {"float": "float", "pruned": "pruned", "shipped": "int8"}
_EXAMINED = ("calibration", "laboratories", "robustness", "shortcut")
CODE = (
    "src", "papers", "experiments", "params.yaml",
    ":!papers/results", ":!papers/comparison", ":!papers/dvc.lock", ":!experiments/results",
)  # fmt: skip
_CURVES = ("phase", "epoch", "loss", "accuracy", "val_loss", "val_accuracy")


@dataclass(frozen=True)
class Run:
    """What was run."""

    name: str
    protocol: str
    form: str
    folder: Path
    system: System
    params: Mapping[str, Any]
    drawn: Drawn


def skipped(run: Run, reason: str) -> dict[str, Any]:
    """The result of what could not be run."""
    return _head(run) | {"skipped": reason}


def tell(run: Run, seconds: Mapping[str, float], work: Path) -> dict[str, Any]:
    """Everything that a table or a page tells of a run."""
    metrics = json.loads((run.folder / "evaluation" / "metrics.json").read_text())
    paths = {name: run.folder / "models" / file for name, file in FILES.items()}
    sample = next(each for each in run.drawn.placed if each.side == TEST)
    image = decode((run.folder / LINK / sample.image.path).read_bytes())
    faster = times_faster(reference(work, ROOT), paths, image, run.params["evaluate"]["latency_runs"])
    return (
        _head(run)
        | {"skipped": "", "trained": json.loads((run.folder / "evaluation" / "training.json").read_text())}
        | {name: metrics[key] for name, key in _MODELS.items()}
        | {"times_faster": {name: asdict(each) for name, each in faster.items()}, "seconds": dict(seconds)}
        | ({"degraded": degraded_figures(run.folder, run.params)} if run.system.degraded else {})
        | {"classes": _rows(run, "classes"), "confusion": _confusion(run), "curves": _curves(run)}
        | {"examined": _examined(run)}
    )


def _head(run: Run) -> dict[str, Any]:
    train, drawn = run.params["train"], run.drawn
    return {
        "system": run.name,
        "protocol": run.protocol,
        "form": run.form,
        "command": f"python -m papers.run {run.name} {run.protocol} --form {run.form}",
        **revision(),
        "seed": train["seed"],
        "network": train["network"],
        "weights": train["weights"],
        "size_px": run.params["prepare"]["size_px"],
        "epochs": train["epochs"],
        "images": drawn.counts() | {"folder": run.system.images, "sha256": drawn.images_digest},
        "tested_sha256": drawn.tested_digest,
    }


def revision(root: Path = ROOT) -> dict[str, Any]:
    """The commit, and whether code or parameters differ from it; results that were just written do not count."""
    differs = _git(root, "status", "--porcelain", "--untracked-files=no", "--", *CODE)
    return {"revision": _git(root, "rev-parse", "HEAD"), "changed": bool(differs)}


def _git(root: Path, *arguments: str) -> str:
    """Git's answer about the project; "" where it stands in no clone."""
    done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else ""


def _rows(run: Run, name: str) -> list[dict[str, str]]:
    with (run.folder / "evaluation" / f"{name}.csv").open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def _curves(run: Run) -> list[dict[str, Any]]:
    rows = _rows(run, "training")
    return [{key: row[key] if key == "phase" else round(float(row[key]), 5) for key in _CURVES} for row in rows]


def _examined(run: Run) -> dict[str, Any]:
    """How the shipped file holds up where images differ from those that it learned from."""
    found = json.loads((run.folder / "evaluation" / "examination.json").read_text())
    return {name: found[name] for name in _EXAMINED}


def _confusion(run: Run) -> list[list[int]]:
    """Test images by actual class (rows) and predicted class."""
    names = list(run.system.classes)
    counts = [[0] * len(names) for _ in names]
    for row in _rows(run, "confusion"):
        counts[names.index(row["actual"])][names.index(row["predicted"])] += 1
    return counts
