"""What devices said, summed by the hour in which the store got it, for the rules of a rollout.

A report is added when it is taken in. A look at a rollout reads sums; the reports themselves only of the one hour in
which it began to count, for what came before that moment does not count.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, case, func, or_, select

from hemaloop.ingest.fleet.reading import plain
from hemaloop.ingest.fleet.sums import (
    CLASS,
    FAILED,
    NO_MODEL,
    SHADOW_AGREED,
    SHADOW_FAILED,
    SHADOW_IMAGES,
    Taken,
    add_amounts,
    hour_of,
    inserting,
    key_of,
)
from hemaloop.ingest.ledger import CHUNK, Ledger
from hemaloop.ingest.schema import heard_counts, heard_hours, reports
from hemaloop.protocol.documents import decode
from hemaloop.protocol.report import Report, ShadowRun
from hemaloop.protocol.said import Said

FAILED_VERSION = "failed version"  # reports, by the version that they say failed on the device

_HOUR = timedelta(hours=1)
_SHADOWS = (SHADOW_IMAGES, SHADOW_AGREED, SHADOW_FAILED)


@dataclass(frozen=True)
class Told:
    """What a channel's devices said before a moment, and from then on; oldest first."""

    before: tuple[Said, ...]
    since: tuple[Said, ...]


def sum_up(connection: Connection, taken: Sequence[Taken]) -> None:
    """Add reports, each for the first time, in the caller's transaction."""
    by_hour: defaultdict[tuple[str, str, int, datetime], list[Said]] = defaultdict(list)
    for each in sorted(taken, key=lambda each: (each.received, each.key)):
        said = _said(each.report, each.received)
        place = (said.device, plain(each.report.channel), said.version or NO_MODEL, hour_of(each.received))
        by_hour[place].append(said)
    if not by_hour:
        return
    names = ("device", "channel", "version", "hour")
    places = {place: dict(zip(names, place, strict=True)) for place in by_hour}
    _add_hours(connection, [{**places[place], **_hour(told)} for place, told in by_hour.items()])
    add_amounts(
        connection, heard_counts, [{**places[place], **row} for place, told in by_hour.items() for row in _counts(told)]
    )


def told(ledger: Ledger, channel: str, since: datetime, moment: datetime) -> Told:
    """What a channel's devices said before and after a moment, by the store's clock.

    Args:
        since: the first hour of what came before.
    """
    cut = hour_of(moment)
    with ledger.reading() as connection:
        before = _summed(connection, channel, heard_hours.c.hour < cut, since)
        after = _summed(connection, channel, heard_hours.c.hour > cut, cut)
        around = list(_reports(connection, channel, cut))
    return Told(
        (*before, *(each for each in around if each.last < moment)),
        (*(each for each in around if each.last >= moment), *after),
    )


def _said(report: Report, received: datetime) -> Said:
    """By the store's time, not by the device's own."""
    return Said.of(replace(report, at=received))


def _hour(said: Sequence[Said]) -> dict[str, Any]:
    timed = [each for each in said if each.latency_ms is not None]
    latency = {"latency_ms": timed[-1].latency_ms, "latency_at": timed[-1].last} if timed else {}
    nothing = {"latency_ms": None, "latency_at": None}
    return {"first": said[0].first, "last": said[-1].last, "reports": len(said), **nothing, **latency}


def _counts(said: Iterable[Said]) -> Iterable[dict[str, Any]]:
    amounts: Counter[tuple[str, str]] = Counter()
    for each in said:
        amounts.update({(CLASS, label): images for label, images in each.labels.items()})
        amounts[FAILED, ""] += each.errors
        amounts.update({(FAILED_VERSION, str(version)): 1 for version in each.failed})
        for shadow in each.shadows:
            counted = zip(_SHADOWS, (shadow.images, shadow.agreed, shadow.failed), strict=True)
            amounts.update({(kind, str(shadow.version)): images for kind, images in counted})
    return ({"kind": kind, "name": name, "amount": amount} for (kind, name), amount in amounts.items() if amount)


def _add_hours(connection: Connection, rows: list[dict[str, Any]]) -> None:
    known, statement = heard_hours.c, inserting(connection, heard_hours)
    new = statement.excluded
    is_newer = and_(new.latency_at.is_not(None), or_(known.latency_at.is_(None), known.latency_at <= new.latency_at))
    replaced = {
        "first": case((new.first < known.first, new.first), else_=known.first),
        "last": case((new.last > known.last, new.last), else_=known.last),
        "reports": known.reports + new.reports,
        "latency_ms": case((is_newer, new.latency_ms), else_=known.latency_ms),
        "latency_at": case((is_newer, new.latency_at), else_=known.latency_at),
    }
    connection.execute(statement.on_conflict_do_update(index_elements=key_of(heard_hours), set_=replaced), rows)


def _reports(connection: Connection, channel: str, hour: datetime) -> Iterable[Said]:
    """The reports of one hour, oldest first."""
    query = select(reports.c.body, reports.c.received_at)
    query = query.where(reports.c.received_at >= hour, reports.c.received_at < hour + _HOUR)
    for row in connection.execute(query.order_by(reports.c.received_at, reports.c.key)).yield_per(CHUNK):
        report = decode(row.body.encode(), Report)
        if plain(report.channel) == channel:
            yield _said(report, row.received_at)


def _summed(connection: Connection, channel: str, hours: ColumnElement[bool], since: datetime) -> list[Said]:
    """One for each device and version."""
    known = heard_hours.c
    wanted = and_(known.channel == channel, known.hour >= hour_of(since), hours)
    found = select(
        known.device, known.version, func.min(known.first), func.max(known.last), func.sum(known.reports)
    ).where(wanted)
    latencies = _latencies(connection, wanted)
    counts = _amounts(connection, wanted)
    return [
        _sum(device, version, first, last, int(number), counts[device, version], latencies.get((device, version)))
        for device, version, first, last, number in connection.execute(found.group_by(known.device, known.version))
    ]


def _latencies(connection: Connection, wanted: ColumnElement[bool]) -> dict[tuple[str, int], float]:
    """The newest of each device and version."""
    known = heard_hours.c
    newest = func.row_number().over(partition_by=(known.device, known.version), order_by=known.hour.desc())
    ranked = select(known.device, known.version, known.latency_ms, newest.label("place"))
    ranked_hours = ranked.where(wanted, known.latency_at.is_not(None)).subquery()
    query = select(ranked_hours).where(ranked_hours.c.place == 1)
    return {(row.device, row.version): row.latency_ms for row in connection.execute(query)}


def _amounts(
    connection: Connection, wanted: ColumnElement[bool]
) -> defaultdict[tuple[str, int], dict[tuple[str, str], int]]:
    known, counts = heard_hours.c, heard_counts.c
    of_hour = and_(*(known[name] == counts[name] for name in key_of(heard_hours)))
    columns = (counts.device, counts.version, counts.kind, counts.name)
    query = select(*columns, func.sum(counts.amount).label("amount")).join_from(heard_hours, heard_counts, of_hour)
    found: defaultdict[tuple[str, int], dict[tuple[str, str], int]] = defaultdict(dict)
    for row in connection.execute(query.where(wanted).group_by(*columns)):
        found[row.device, row.version][row.kind, row.name] = int(row.amount)
    return found


def _sum(
    device: str,
    version: int,
    first: datetime,
    last: datetime,
    number: int,
    amounts: dict[tuple[str, str], int],
    latency_ms: float | None,
) -> Said:
    beside = sorted({int(name) for kind, name in amounts if kind in _SHADOWS})
    shadows = [ShadowRun(each, *(amounts.get((kind, str(each)), 0) for kind in _SHADOWS)) for each in beside]
    labels = {name: amount for (kind, name), amount in amounts.items() if kind == CLASS}
    failed = frozenset(int(name) for kind, name in amounts if kind == FAILED_VERSION)
    return Said(
        device, version or None, first, last, number, labels, amounts.get((FAILED, ""), 0), latency_ms, tuple(shadows),
        failed,
    )  # fmt: skip
