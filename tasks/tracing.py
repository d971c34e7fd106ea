"""From a prediction to what its model was trained on, and from an upload to the devices that ran such a model.

The areas that know the links know nothing of each other; they are joined here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hemaloop.config import Settings
from hemaloop.dataset.manifest import ManifestRow
from hemaloop.dataset.mirror import Mirror
from hemaloop.errors import ConfigError, DataError
from hemaloop.ingest.fleet import table
from hemaloop.ingest.fleet.table import Prediction, Ran
from hemaloop.ingest.ledger import Ledger
from hemaloop.ingest.records import Trace


@dataclass(frozen=True)
class Image:
    """A labelled image of the dataset revision that made a model."""

    upload: str  # key
    sha256: str
    label: str
    side: str  # train, validation, test or excluded: it was trained on where this is train
    device: str
    batch: str


@dataclass(frozen=True)
class Batch:
    id: str
    commit: str | None  # that added it to git; None: another batch has taken its place since


@dataclass(frozen=True)
class ModelTrace:
    """A model version: back to its images, and forward to its devices."""

    version: int
    run: str | None  # of MLflow; None: no such version is registered here
    revision: str | None
    aliases: tuple[str, ...]
    batches: tuple[Batch, ...]
    images: tuple[Image, ...]
    ran: tuple[Ran, ...]


@dataclass(frozen=True)
class PredictionTrace:
    """An answer: the upload that it is about, and the model that gave it."""

    prediction: Prediction
    upload: tuple[Trace, ...]  # oldest first; none: it was not uploaded, or the ledger has not seen it yet
    model: ModelTrace


@dataclass(frozen=True)
class TrainedWith:
    """A model version whose dataset revision holds an upload."""

    version: int
    revision: str
    side: str  # of that image, there; "unlabelled" where nobody had labelled it
    ran: tuple[Ran, ...]


@dataclass(frozen=True)
class UploadTrace:
    """An upload, forward."""

    upload: tuple[Trace, ...]  # oldest first
    predictions: tuple[Prediction, ...]  # what devices answered to it
    models: tuple[TrainedWith, ...]


def trace_predictions(settings: Settings, device: str, capture: str) -> tuple[PredictionTrace, ...]:
    """What became of a capture on its device, and why. Raises: DataError: no report speaks of it."""
    ledger = Ledger(settings.ledger)
    found = table.predictions(ledger, device, capture)
    if not found:
        raise DataError(
            f"{device}: no report speaks of a capture {capture!r}: look at its name, and whether "
            "`hemaloop fleet collect` has run since"
        )
    models = {version: _model(settings, version) for version in sorted({each.version for each in found})}
    return tuple(PredictionTrace(each, ledger.history(each.key), models[each.version]) for each in found)


def trace_model(settings: Settings, version: int) -> ModelTrace:
    """A version, both ways. Raises: ConfigError: nobody knows it."""
    found = _model(settings, version)
    if found.run is None and not found.ran:
        raise ConfigError(f"model version {version}: neither MLflow nor any device knows it: see `hemaloop status`")
    return found


def _model(settings: Settings, version: int) -> ModelTrace:
    ran = tuple(table.who_ran(Ledger(settings.ledger), version))
    registered = next((each for each in _versions(settings) if each[0] == version), None)
    if registered is None:
        return ModelTrace(version, None, None, (), (), (), ran)
    _, revision, run, aliases = registered
    mirror = _mirror(settings)
    rows = mirror.manifest(revision)
    return ModelTrace(version, run, revision, aliases, _batches(mirror, rows), tuple(map(_image, rows)), ran)


def trace_upload(settings: Settings, key: str) -> UploadTrace:
    """An upload forward. Raises: DataError: the ledger has never seen it."""
    ledger = Ledger(settings.ledger)
    traces = find_upload(ledger, key)
    device = traces[-1].upload.key.split("/")[1] if key.count("/") > 1 else ""
    # A duplicate is in the dataset as the picture that it is the same as.
    hashes = {each.upload.original_sha256 or each.upload.sha256 for each in traces if each.upload.batch}
    found = tuple(
        TrainedWith(version, revision, side, tuple(table.who_ran(ledger, version)))
        for version, revision, side in _trained_with(settings, sorted(filter(None, hashes)))
    )
    return UploadTrace(traces, tuple(table.predictions(ledger, device, key)), found)


def find_upload(ledger: Ledger, key: str) -> tuple[Trace, ...]:
    """What happened to an upload. Raises: DataError: the ledger has never seen it."""
    traces = ledger.history(key)
    if not traces:
        raise DataError(
            f"{key}: the ledger has never seen it: look at the key, and whether `hemaloop ingest` has run since"
        )
    return traces


def _trained_with(settings: Settings, hashes: Sequence[str]) -> list[tuple[int, str, str]]:
    """(version, revision, side) of each registered version whose revision holds one of these images."""
    versions = _versions(settings) if hashes else []
    if not versions:
        return []
    mirror, found = _mirror(settings), []
    for sha256 in hashes:
        holding = set(mirror.holding(sha256, [revision for _, revision, _, _ in versions]))
        for version, revision, _, _ in versions:
            if revision in holding:
                sides = [row.side for row in mirror.manifest(revision) if row.sha256 == sha256]
                found.append((version, revision, sides[0] if sides else "unlabelled"))
    return sorted(found)


def _versions(settings: Settings) -> list[tuple[int, str, str, tuple[str, ...]]]:
    """(number, revision, run, aliases) of what is registered."""
    place = settings.mlflow.removeprefix("sqlite:///")
    if place != settings.mlflow and not Path(place).exists():
        return []  # MLflow would make its tables
    from hemaloop.registry.versions import list_versions

    return [(each.number, each.revision, each.run_id, each.aliases) for each in list_versions(settings.mlflow)]


def _mirror(settings: Settings) -> Mirror:
    mirror = Mirror(settings.home / "mirror.git", settings.repository)
    mirror.refresh()
    return mirror


def _batches(mirror: Mirror, rows: Sequence[ManifestRow]) -> tuple[Batch, ...]:
    commits = mirror.batches()
    return tuple(Batch(id_, commits.get(id_)) for id_ in sorted({row.batch for row in rows}))


def _image(row: ManifestRow) -> Image:
    return Image(row.upload, row.sha256, row.label, row.side, row.device, row.batch)
