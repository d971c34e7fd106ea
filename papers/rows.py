"""The comparison as rows: a paper's figures beside ours under both protocols. Pure, but for reading results."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hemaloop.errors import DataError
from papers.protocols import FOLD, HONEST, PAPER
from papers.systems import Reported, Systems

Result = Mapping[str, Any]
DEGRADED = "-degraded"
NOT_REPORTED = Reported(source="")
NOT_KNOWN = ""


@dataclass(frozen=True)
class Row:
    """One system: what its paper says, and what we saw. None: not known."""

    name: str
    title: str
    reported: Reported
    runs: dict[str, Result]  # by protocol: the whole result
    figures: dict[str, dict[str, Any]]  # by protocol: of the shipped file, on clean or degraded images

    def figure(self, protocol: str, name: str) -> float | None:
        return self.figures.get(protocol, {}).get(name)

    @property
    def is_clean(self) -> bool:
        """Whether it tells of images as they are, not as a poor camera and network send them."""
        return not self.name.endswith(DEGRADED)

    @property
    def skipped(self) -> str:
        """Why it could not be run, or "" where it was."""
        return next((run["skipped"] for run in self.runs.values() if run["skipped"]), "")

    @property
    def run(self) -> Result:
        """The run whose files are spoken of: the honest one, where there is one."""
        return self.runs.get(HONEST) or next(iter(self.runs.values()))


def read_results(folder: Path) -> dict[tuple[str, str], Result]:
    """Results by system and protocol. Raises: DataError: there is none."""
    results = [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]
    if not results:
        raise DataError(f"{folder} holds no result: run a system first, `make papers`")
    return {(result["system"], result["protocol"]): result for result in results}


def compare(
    systems: Systems, reported: Mapping[str, Reported], results: Mapping[tuple[str, str], Result]
) -> tuple[Row, ...]:
    """A row for each system that has a result, and one more where its paper speaks of degraded images."""
    rows = []
    for name, system in systems.systems.items():
        runs = {protocol: results[name, protocol] for protocol in (PAPER, HONEST) if (name, protocol) in results}
        if runs:
            rows.append(_row(name, system.title, reported, runs, "shipped"))
        if any("degraded" in run for run in runs.values()):
            title = f"{system.title}: a poor camera and network"
            rows.append(_row(name + DEGRADED, title, reported, runs, "degraded"))
    return tuple(rows)


def names_of(rows: Sequence[Row]) -> list[str]:
    """The systems that were run, each once."""
    return [row.name for row in rows if not row.skipped and row.is_clean]


def _row(name: str, title: str, reported: Mapping[str, Reported], runs: dict[str, Result], part: str) -> Row:
    figures = {protocol: run[part] for protocol, run in runs.items() if part in run}
    return Row(name, title, reported.get(name, NOT_REPORTED), runs, figures)


@dataclass(frozen=True)
class Folds:
    """A system's folds together: every image tested once."""

    name: str
    folds: int
    mean: float  # of macro sensitivity
    worst: float


def read_folds(results: Mapping[tuple[str, str], Result]) -> tuple[Folds, ...]:
    """Of every system that has results of folds."""
    found: dict[str, list[float]] = {}
    for (name, protocol), result in results.items():
        if protocol.startswith(FOLD) and not result["skipped"]:
            found.setdefault(name, []).append(result["shipped"]["macro_sensitivity"])
    return tuple(Folds(name, len(some), sum(some) / len(some), min(some)) for name, some in found.items())


def percent(value: float | None) -> str:
    return NOT_KNOWN if value is None else f"{100 * value:.1f}"


def training_seconds(run: Result) -> float | None:
    """Of training and of re-training after pruning."""
    seconds: Mapping[str, float] = run.get("seconds", {})
    return seconds["train"] + seconds["prune"] if "train" in seconds else None


def as_metrics(rows: Sequence[Row]) -> dict[str, Any]:
    """The figures that DVC shows and compares, with the command, seed and revision that made them."""
    return {row.name: {protocol: _metrics(row, protocol) for protocol in row.figures} for row in rows if row.figures}


_SHOWN = ("accuracy", "macro_sensitivity", "macro_sensitivity_low", "macro_sensitivity_high", "macro_auc", "bytes")
_MADE_BY = ("command", "seed", "revision", "changed")


def _metrics(row: Row, protocol: str) -> dict[str, Any]:
    figures, run = row.figures[protocol], row.runs[protocol]
    shown = {name: figures[name] for name in _SHOWN if name in figures}
    return shown | {"times_faster": run["times_faster"]["shipped"]["network"]} | {key: run[key] for key in _MADE_BY}
