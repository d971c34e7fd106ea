"""The fleet as the ledger knows it: a row a device, and what models answered on them."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

from sqlalchemy import Row, func, select

from hemaloop.ingest.fleet.shifts import Answers, Reference
from hemaloop.ingest.fleet.sums import (
    CLASS,
    CONFIDENCE,
    FAILED,
    NO_MODEL,
    SHADOW_AGREED,
    SHADOW_FAILED,
    SHADOW_IMAGES,
    UNREADABLE,
)
from hemaloop.ingest.ledger import Ledger
from hemaloop.ingest.schema import answers, counts, devices, model_references, refused_reports, refused_updates
from hemaloop.protocol.documents import decode, encode
from hemaloop.protocol.report import CONFIDENCE_BINS, ShadowRun


@dataclass(frozen=True)
class Device:
    """What a device's newest report says, and the sums of all that it reported."""

    device: str
    first_seen: datetime  # by the store's clock, as is last_seen
    last_seen: datetime
    clock_ahead_s: float  # of the store's; a report that waited for a network lies behind
    agent: str
    channel: str
    version: int | None
    self_test: str
    probation: str
    latency_ms: float | None  # of the newest report that has one
    reports: int
    uploaded: int
    classified: int
    unreadable: int
    failures: int
    dropped: int
    refused_updates: int
    frames: int
    sent: int
    sent_bytes: int
    every_bytes: int
    refused_reports: int = 0  # that were not believed

    @property
    def traffic_saved(self) -> float | None:
        """Share of the bytes that sending every frame would have cost; None where nothing was counted."""
        return 1 - self.sent_bytes / self.every_bytes if self.every_bytes else None

    def is_silent(self, hours: float, now: datetime) -> bool:
        return now - self.last_seen > timedelta(hours=hours)


@dataclass(frozen=True)
class Use:
    """What a device did with one model."""

    device: str
    answers: Answers
    shadows: dict[int, ShadowRun] = field(default_factory=dict)  # of versions that ran beside it


@dataclass(frozen=True)
class RefusedOnDevice:
    """An update that a device did not trust, or that failed on it."""

    device: str
    at: datetime
    version: int | None
    reason: str


@dataclass(frozen=True)
class Ran:
    """A device that ran a model."""

    device: str
    first: datetime  # hour of the first report
    last: datetime  # hour of the last one; of a month older than `fleet.keep_days`, the first one of that month
    images: int


@dataclass(frozen=True)
class Prediction:
    """One answer, as its device reported it."""

    device: str
    capture: str  # name
    key: str  # of the upload, where it was uploaded
    version: int
    label: str
    probability: float
    report: str  # key


def fleet(ledger: Ledger) -> list[Device]:
    """Every device that ever reported, by name."""
    refused = select(refused_reports.c.device, func.count()).group_by(refused_reports.c.device)
    with ledger.reading() as connection:
        not_believed = {device: int(count) for device, count in connection.execute(refused)}
        rows = connection.execute(select(devices).order_by(devices.c.device)).all()
    names = [name for name in Device.__dataclass_fields__ if name != "refused_reports"]
    return [
        Device(**{name: row._mapping[name] for name in names}, refused_reports=not_believed.get(row.device, 0))
        for row in rows
    ]


def uses(ledger: Ledger, since: datetime) -> list[Use]:
    """What each device did with each model since then, to the hour."""
    of_model = (counts.c.device, counts.c.version)
    recent = counts.c.hour >= since
    query = select(*of_model, counts.c.kind, counts.c.name, func.sum(counts.c.amount).label("amount"))
    query = query.where(recent).group_by(*of_model, counts.c.kind, counts.c.name).order_by(*of_model)
    hours = select(*of_model, func.sum(counts.c.amount).label("images"))
    hours = hours.where(recent, counts.c.kind == CLASS).group_by(*of_model, counts.c.hour)
    with ledger.reading() as connection:
        squares: dict[tuple[str, int], float] = {}
        for device, version, images in connection.execute(hours):
            squares[device, version] = squares.get((device, version), 0.0) + float(images) ** 2
        rows = connection.execute(query).all()
    by_model = groupby(rows, key=lambda row: (row.device, row.version))
    return [_use(device, version, list(found), squares) for (device, version), found in by_model]


def _use(device: str, version: int, rows: list[Row[Any]], squares: dict[tuple[str, int], float]) -> Use:
    amounts = {(row.kind, row.name): int(row.amount) for row in rows}
    confidence = tuple(amounts.get((CONFIDENCE, str(place)), 0) for place in range(CONFIDENCE_BINS))
    said = Answers(
        version,
        {name: amount for (kind, name), amount in sorted(amounts.items()) if kind == CLASS},
        confidence if any(confidence) else (),
        amounts.get((FAILED, ""), 0),
        amounts.get((UNREADABLE, ""), 0),
        squares.get((device, version), 0.0),
    )
    return Use(device, said, {shadow.version: shadow for shadow in _shadows(amounts)})


def _shadows(amounts: dict[tuple[str, str], int]) -> Iterator[ShadowRun]:
    kinds = (SHADOW_IMAGES, SHADOW_AGREED, SHADOW_FAILED)
    for beside in sorted({name for kind, name in amounts if kind in kinds}):
        images, agreed, failed = (amounts.get((kind, beside), 0) for kind in kinds)
        yield ShadowRun(int(beside), images, agreed, failed)


def refused_since(ledger: Ledger, since: datetime) -> list[RefusedOnDevice]:
    """Updates that devices refused, oldest first."""
    columns = [refused_updates.c[name] for name in RefusedOnDevice.__dataclass_fields__]
    query = select(*columns).where(refused_updates.c.at >= since).order_by(refused_updates.c.id)
    with ledger.reading() as connection:
        return [RefusedOnDevice(**row._mapping) for row in connection.execute(query)]


def who_ran(ledger: Ledger, version: int) -> list[Ran]:
    """Every device that reported to run a version, by name."""
    images = func.sum(counts.c.amount).filter(counts.c.kind == CLASS)
    query = select(counts.c.device, func.min(counts.c.hour), func.max(counts.c.hour), func.coalesce(images, 0))
    query = query.where(counts.c.version == version).group_by(counts.c.device).order_by(counts.c.device)
    with ledger.reading() as connection:
        return [Ran(device, first, last, int(seen)) for device, first, last, seen in connection.execute(query)]


def versions_in_use(ledger: Ledger, since: datetime) -> list[int]:
    """Models that answered since then."""
    query = select(counts.c.version).where(counts.c.hour >= since, counts.c.version != NO_MODEL).distinct()
    with ledger.reading() as connection:
        return sorted(connection.scalars(query))


def predictions(ledger: Ledger, device: str, capture: str) -> list[Prediction]:
    """What a device answered to a capture: its name, or its upload's key; oldest first."""
    named = answers.c.key == capture if "/" in capture else answers.c.capture == capture
    columns = [answers.c[name] for name in Prediction.__dataclass_fields__]
    query = select(*columns).where(answers.c.device == device, named).order_by(answers.c.id)
    with ledger.reading() as connection:
        return [Prediction(**row._mapping) for row in connection.execute(query)]


def references(ledger: Ledger) -> dict[int, Reference]:
    """By version."""
    with ledger.reading() as connection:
        bodies = connection.scalars(select(model_references.c.body)).all()
    return {found.version: found for found in (decode(body.encode(), Reference) for body in bodies)}


def keep_reference(ledger: Ledger, reference: Reference) -> None:
    """A version's reference never changes: one that is known stays."""
    with ledger.writing() as connection:
        known = select(model_references.c.version).where(model_references.c.version == reference.version)
        if connection.scalar(known) is None:
            values = {"version": reference.version, "body": encode(reference).decode()}
            connection.execute(model_references.insert().values(values))
