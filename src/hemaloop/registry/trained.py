"""What the pipeline left behind in a clone: parameters, metrics and models, as values."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hemaloop.config import read_params
from hemaloop.errors import DataError
from hemaloop.registry.gate import Scores, Unpruned

SHIPPED = Path("models/model.tflite")
UNPRUNED = Path("models/unpruned.tflite")
METRICS = Path("evaluation/metrics.json")
LATENCY = Path("evaluation/latency.json")
EXAMINATION = Path("evaluation/examination.json")
NO_PRUNING = "none"  # of prune.method


@dataclass(frozen=True)
class Trained:
    """One run of the pipeline, as it stands in a clone at `revision`."""

    folder: Path  # the clone
    revision: str  # git commit that holds params.yaml, dvc.lock and evaluation/
    params: dict[str, Any]
    metrics: dict[str, dict[str, float | None]]  # "float", "pruned", "int8" -> figure -> value
    unpruned_latency_ms: float | None  # of models/unpruned.tflite; None: it was not measured
    worst_subgroup: float | None  # its macro sensitivity; None: none is large enough, or the stage examine has not run

    @property
    def model(self) -> Path:
        return self.folder / SHIPPED

    def scores(self, champion_macro_sensitivity: float | None) -> Scores:
        """What the gate looks at."""
        shipped, parent = self.metrics["int8"], self.metrics["float"]
        return Scores(
            macro_sensitivity=shipped["macro_sensitivity"],
            macro_sensitivity_low=shipped["macro_sensitivity_low"],
            untested_classes=int(shipped.get("absent_classes") or 0),  # earlier versions did not count them
            calibration_error_low=shipped.get("ece_low"),
            worst_subgroup=self.worst_subgroup,
            bytes=self.model.stat().st_size,
            latency_ms=_known(shipped, "latency_ms"),
            float_macro_sensitivity=parent["macro_sensitivity"],
            float_latency_ms=_known(parent, "latency_ms"),
            champion_macro_sensitivity=champion_macro_sensitivity,
            unpruned=self._unpruned(),
        )

    def _unpruned(self) -> Unpruned | None:
        """None where params.yaml prunes nothing, or where an earlier version knew of no such file."""
        if self.params["prune"].get("method", NO_PRUNING) == NO_PRUNING:
            return None
        if self.unpruned_latency_ms is None:
            raise DataError(f"{LATENCY}: the unpruned model was not measured: run `dvc repro`")
        return Unpruned((self.folder / UNPRUNED).stat().st_size, self.unpruned_latency_ms)


def read_trained(folder: Path, revision: str) -> Trained:
    """Read what `dvc repro` wrote.

    Raises: DataError: the pipeline has not run in this clone.
    """
    try:
        metrics = json.loads((folder / METRICS).read_text())
        latency = json.loads((folder / LATENCY).read_text())
    except FileNotFoundError as error:
        raise DataError(f"{error.filename} is not there: run `dvc repro` in {folder} first") from error
    figures = {name: _figures(metrics[name]) | _figures(latency[name]) for name in metrics if name in latency}
    unpruned = latency.get("unpruned", {}).get("latency_ms")
    return Trained(folder, revision, read_params(folder / "params.yaml"), figures, unpruned, _worst(folder))


def _worst(folder: Path) -> float | None:
    path = folder / EXAMINATION
    worst = json.loads(path.read_text())["subgroups"]["worst"] if path.exists() else None
    return None if worst is None else float(worst["macro_sensitivity"])


def _figures(values: dict[str, Any]) -> dict[str, float | None]:
    return {name: value for name, value in values.items() if value is None or isinstance(value, (int, float))}


def _known(figures: dict[str, float | None], name: str) -> float:
    value = figures[name]
    if value is None:
        raise DataError(f"{METRICS}: {name} was not measured")
    return value
