"""All that the pipeline's earlier stages wrote about a model, as values. What is not there is empty, never made up."""

import csv
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hemaloop.errors import DataError
from hemaloop.inference.metadata import ModelMetadata, read_metadata
from hemaloop.model.evaluation.bootstrap import Figure

FLOAT, PRUNED, SHIPPED = "float", "pruned", "int8"  # keys of metrics.json; the last whatever its form
NAMES = {FLOAT: "float", PRUNED: "pruned", SHIPPED: "shipped"}

Row = Mapping[str, str]
Document = Mapping[str, Any]


@dataclass(frozen=True)
class Answered:
    """A test image and what the shipped file said to it."""

    sha256: str
    group: str
    actual: str
    predicted: str
    confidence: float  # the probability of the answer

    @property
    def right(self) -> bool:
        return self.actual == self.predicted


@dataclass(frozen=True)
class Findings:
    """One run of the pipeline; documents and tables as their files hold them."""

    classes: tuple[str, ...]
    params: Document  # the whole of params.yaml
    metadata: ModelMetadata  # of the shipped file
    sha256: str  # of the shipped file
    metrics: Document  # file -> figure -> value
    latency: Document
    dataset: Document
    pruning: Document
    quantisation: Document
    examination: Document
    answers: tuple[Answered, ...]
    class_scores: tuple[Row, ...]
    training: tuple[Row, ...]
    pruning_curve: tuple[Row, ...]
    robustness: tuple[Row, ...]
    subgroups: tuple[Row, ...]
    risk_coverage: tuple[Row, ...]
    reliability: tuple[Row, ...]
    layers: tuple[Row, ...]  # errors of quantisation
    captured: tuple[str, str] | None  # first and last day of the images, by the devices' clocks

    def figure(self, file: str, name: str) -> Figure:
        """A figure of metrics.json, empty where it was not measured."""
        return figure_in(self.metrics.get(file, {}), name)

    def latency_ratio(self, file: str) -> float | None:
        """How many times quicker than the float file, in the same run; below 1 it is slower."""
        times = [self.latency.get(name, {}).get("latency_ms") for name in (FLOAT, file)]
        return None if None in times or not times[1] else float(times[0]) / float(times[1])

    @property
    def files(self) -> tuple[str, ...]:
        """Which were judged, in the order that they are made."""
        return tuple(name for name in NAMES if name in self.metrics)


@dataclass(frozen=True)
class Rule:
    """One rule of the gate; `holds` None: it cannot be judged here."""

    name: str
    holds: bool | None
    found: str
    wanted: str


@dataclass(frozen=True)
class Origin:
    """Where a page comes from."""

    hemaloop: str  # version
    commit: str  # that the run began on; "" outside git


def read_findings(folder: Path, params: Document, classes: Sequence[str]) -> Findings:
    """What stands in a clone after the stages.

    Raises:
        DataError: the shipped file or the figures of stage evaluate are not there; anything else may be missing.
    """
    evaluation, model = folder / "evaluation", folder / "models/model.tflite"
    if not model.exists() or not (evaluation / "metrics.json").exists():
        raise DataError(f"{model} or {evaluation}/metrics.json is not there: run `dvc repro`")
    content = model.read_bytes()
    documents: Any = {name: _document(evaluation / f"{name}.json") for name in _DOCUMENTS}
    tables: Any = {field: _table(evaluation / f"{name}.csv") for field, name in _TABLES.items()}
    return Findings(
        classes=tuple(classes),
        params=params,
        metadata=read_metadata(content),
        sha256=hashlib.sha256(content).hexdigest(),
        answers=tuple(map(_answered, _table(evaluation / "predictions.csv"))),
        captured=_captured(_table(folder / "data/manifest.csv")),
        **documents,
        **tables,
    )


_DOCUMENTS = ("metrics", "latency", "dataset", "pruning", "quantisation", "examination")
_TABLES = {
    "class_scores": "classes",
    "training": "training",
    "pruning_curve": "pruning",
    "robustness": "robustness",
    "subgroups": "subgroups",
    "risk_coverage": "risk_coverage",
    "reliability": "reliability",
    "layers": "quantisation",
}


def value_of(values: Document, name: str) -> float | None:
    """A number of a row or a document; None where it is empty, or nobody wrote it."""
    value = values.get(name)
    return None if value in (None, "") else float(str(value))


def figure_in(values: Document, name: str) -> Figure:
    """`name` with its interval, `name_low` to `name_high`, of a row or a document."""
    return Figure(*(value_of(values, f"{name}{end}") for end in ("", "_low", "_high")))


def _answered(row: Row) -> Answered:
    return Answered(row["sha256"], row["group"], row["actual"], row["predicted"], float(row[f"p_{row['predicted']}"]))


def _captured(manifest: Sequence[Row]) -> tuple[str, str] | None:
    days = sorted(row["captured_at"][:10] for row in manifest)
    return (days[0], days[-1]) if days else None


def _document(path: Path) -> Document:
    found: Document = json.loads(path.read_text()) if path.exists() else {}
    return found


def _table(path: Path) -> tuple[Row, ...]:
    if not path.exists():
        return ()
    with path.open(newline="", encoding="utf-8") as stream:
        return tuple(csv.DictReader(stream))
