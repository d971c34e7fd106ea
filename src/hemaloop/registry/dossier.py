"""All that an approver should see of a version before signing it."""

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import mlflow

from hemaloop.registry.card import Estimate
from hemaloop.registry.gate import Verdict
from hemaloop.registry.versions import CHAMPION, Version, aliased, read_version

CARD, GATE = "evaluation/model-card.md", "gate.json"
SHIPPED = "int8."  # begins the names of the shipped file's figures in MLflow


@dataclass(frozen=True)
class Dossier:
    """What MLflow knows of a version, beside what its release bundle says."""

    version: Version
    champion: Version | None
    verdicts: tuple[Verdict, ...]  # of the gate
    card: str  # Markdown
    digests: dict[str, str]  # SHA-256 of the card and of the gate's report, for the signature

    @property
    def before(self) -> dict[str, float]:
        """The champion's figures of its shipped file."""
        return {} if self.champion is None else shipped_figures(self.champion)


@dataclass(frozen=True)
class Row:
    """One figure of a version, and how it differs from the champion's."""

    figure: Estimate
    champion: Estimate

    @property
    def difference(self) -> float | None:
        """None where either was not measured."""
        if self.figure.value is None or self.champion.value is None:
            return None
        return self.figure.value - self.champion.value


def read_dossier(tracking_uri: str, number: int) -> Dossier:
    """Raises: ConfigError: there is no such version."""
    version = read_version(tracking_uri, number)
    champion = aliased(tracking_uri, CHAMPION)
    files = {name: _artifact(version.run_id, name) for name in (CARD, GATE)}
    gate, card = files[GATE], files[CARD]
    return Dossier(
        version,
        None if champion is None else read_version(tracking_uri, champion),
        () if gate is None else tuple(Verdict(**verdict) for verdict in json.loads(gate)),
        version.description if card is None else card.decode(),
        {name: sha256(data).hexdigest() for name, data in files.items() if data is not None},
    )


def shipped_figures(version: Version) -> dict[str, float]:
    """A version's figures of the shipped file, as MLflow has them."""
    return {name.removeprefix(SHIPPED): value for name, value in version.metrics.items() if name.startswith(SHIPPED)}


def compare(figures: Mapping[str, float], before: Mapping[str, float]) -> tuple[Row, ...]:
    """Figures with their intervals beside the champion's: `name`, `name_low` and `name_high` are one row."""
    ends = {name + end for name in figures for end in ("_low", "_high")}
    names = sorted(name for name in figures if name not in ends)
    return tuple(Row(_estimate(name, figures), _estimate(name, before)) for name in names)


def _estimate(name: str, values: Mapping[str, float]) -> Estimate:
    return Estimate(name, values.get(name), values.get(f"{name}_low"), values.get(f"{name}_high"))


def _artifact(run_id: str, name: str) -> bytes | None:
    """A file of the run; None: the run is from before there was one."""
    folder = name.rpartition("/")[0]
    if name not in {
        found.path for found in mlflow.artifacts.list_artifacts(run_id=run_id, artifact_path=folder or None)
    }:
        return None
    with tempfile.TemporaryDirectory() as place:
        return Path(mlflow.artifacts.download_artifacts(run_id=run_id, artifact_path=name, dst_path=place)).read_bytes()
