"""Running sums: a report is added when it is taken in, and never read again."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

from sqlalchemy import Connection, Table, and_, bindparam, case, func, insert, or_, update
from sqlalchemy.dialects import postgresql, sqlite

from hemaloop.ingest.fleet.reading import plain, written_at
from hemaloop.ingest.schema import SUMS, answers, counts, devices, refused_updates
from hemaloop.protocol.report import CONFIDENCE_BINS, Report

# Kinds of counts, and what their names are.
CLASS = "class"  # images, by the label that they were given
CONFIDENCE = "confidence"  # images, by the bin of the largest probability
FAILED = "failed"  # images without an answer, for the model's part; no name
UNREADABLE = "unreadable"  # images without an answer, for their own part; no name
SHADOW_IMAGES = "shadow images"  # by the version that ran beside
SHADOW_AGREED = "shadow agreed"
SHADOW_FAILED = "shadow failed"
REPORTS = "reports"  # no name

NO_MODEL = 0


@dataclass(frozen=True)
class Taken:
    """A report that is believed."""

    key: str
    report: Report
    received: datetime  # by the store's clock

    @property
    def written(self) -> datetime:
        return written_at(self.report.at, self.received)

    @property
    def order(self) -> tuple[datetime, str]:
        """The device's newest report is the last in this order; the key holds what its clock said."""
        return self.written, self.key


def add(connection: Connection, taken: Sequence[Taken]) -> None:
    """Add reports, each for the first time, in the caller's transaction."""
    if not taken:
        return
    _add_devices(connection, taken)
    _add_counts(connection, taken)
    if rows := [row for each in taken for row in _answers(each)]:
        connection.execute(insert(answers), rows)
    if rows := [row for each in taken for row in _refused_updates(each)]:
        connection.execute(insert(refused_updates), rows)


def _add_devices(connection: Connection, taken: Sequence[Taken]) -> None:
    by_device = groupby(sorted(taken, key=lambda each: each.report.device), key=lambda each: each.report.device)
    rows = [_device(list(found)) for _, found in by_device]
    statement = inserting(connection, devices)
    new = statement.excluded
    earlier = case((new.first_seen < devices.c.first_seen, new.first_seen), else_=devices.c.first_seen)
    later = case((new.last_seen > devices.c.last_seen, new.last_seen), else_=devices.c.last_seen)
    sums = {name: devices.c[name] + new[name] for name in SUMS}
    replaced = {"first_seen": earlier, "last_seen": later, **sums}
    # What the newest report says comes after: these rows may be older than what is known.
    connection.execute(statement.on_conflict_do_update(index_elements=["device"], set_=replaced), rows)
    _set_newest(connection, rows)


def _set_newest(connection: Connection, rows: Sequence[dict[str, Any]]) -> None:
    said = ("newest", "newest_key", "clock_ahead_s", "agent", "channel", "version", "self_test", "probation")
    latency = func.coalesce(bindparam("new_latency_ms", type_=devices.c.latency_ms.type), devices.c.latency_ms)
    newest, key = (bindparam(f"new_{name}", type_=devices.c[name].type) for name in ("newest", "newest_key"))
    is_newer = or_(devices.c.newest < newest, and_(devices.c.newest == newest, devices.c.newest_key <= key))
    statement = update(devices).where(devices.c.device == bindparam("of"), is_newer)
    values = {name: bindparam(f"new_{name}", type_=devices.c[name].type) for name in said}
    connection.execute(
        statement.values({**values, "latency_ms": latency}),
        [{"of": row["device"], **{f"new_{name}": row[name] for name in (*said, "latency_ms")}} for row in rows],
    )


def _device(taken: list[Taken]) -> dict[str, Any]:
    """A row of `devices` out of these reports alone, all of one device."""
    taken.sort(key=lambda each: each.order)
    newest = taken[-1]
    report = newest.report
    latencies = [each.report.latency_ms for each in taken if each.report.latency_ms is not None]
    sums: Counter[str] = Counter(dict.fromkeys(SUMS, 0))
    for each in taken:
        sums.update(_sums(each.report))
    return {
        "device": report.device,
        "first_seen": min(each.received for each in taken),
        "last_seen": max(each.received for each in taken),
        "newest": newest.written,
        "newest_key": newest.key,
        "clock_ahead_s": (report.at - newest.received).total_seconds(),
        **{name: plain(getattr(report, name)) for name in ("agent", "channel", "self_test", "probation")},
        "version": report.model_version,
        "latency_ms": latencies[-1] if latencies else None,
        **sums,
    }


def _sums(report: Report) -> dict[str, int]:
    traffic = {} if report.traffic is None else vars(report.traffic)
    own = {name: getattr(report, name) for name in ("uploaded", "unreadable", "failures", "dropped")}
    counted = {"reports": 1, "classified": sum(report.classified.values())}
    return {**own, **counted, "refused_updates": len(report.refused_updates), **traffic}


def _add_counts(connection: Connection, taken: Sequence[Taken]) -> None:
    amounts: Counter[tuple[str, int, datetime, str, str]] = Counter()
    for each in taken:
        hour = hour_of(each.written)
        for version, kind, name, amount in _counts(each.report):
            amounts[each.report.device, version, hour, kind, name] += amount
    names = ("device", "version", "hour", "kind", "name")
    rows = [{**dict(zip(names, key, strict=True)), "amount": amount} for key, amount in sorted(amounts.items())]
    add_amounts(connection, counts, rows)


def _counts(report: Report) -> Iterable[tuple[int, str, str, int]]:
    """(version, kind, name, amount), of what is not 0."""
    running = report.model_version or NO_MODEL
    found = [(FAILED, "", report.failures), (UNREADABLE, "", report.unreadable), (REPORTS, "", 1)]
    if report.shadow is not None:
        beside = str(report.shadow.version)
        found += [(SHADOW_IMAGES, beside, report.shadow.images), (SHADOW_AGREED, beside, report.shadow.agreed)]
        found += [(SHADOW_FAILED, beside, report.shadow.failed)]
    counted = ((running, kind, name, amount) for kind, name, amount in found)
    return (each for each in (*counted, *_answered(report, running)) if each[3])


def _answered(report: Report, running: int) -> Iterable[tuple[int, str, str, int]]:
    """What is in the sums, by the model that said it. A report may reach over an update: only its answers tell."""
    if len(report.answers) == sum(report.classified.values()):
        for answer in report.answers:
            yield answer.version, CLASS, answer.label, 1
            yield answer.version, CONFIDENCE, str(confidence_bin(answer.probability)), 1
        return
    yield from ((running, CLASS, label, images) for label, images in report.classified.items())
    yield from ((running, CONFIDENCE, str(place), images) for place, images in enumerate(report.confidence))


def confidence_bin(probability: float) -> int:
    return min(int(probability * CONFIDENCE_BINS), CONFIDENCE_BINS - 1)


def _answers(taken: Taken) -> Iterable[dict[str, Any]]:
    for answer in taken.report.answers:
        said = {"version": answer.version, "label": answer.label, "probability": answer.probability}
        place = {"key": answer.capture, "capture": capture_name(answer.capture)}
        yield {"device": taken.report.device, "report": taken.key, **place, **said}


def capture_name(capture: str) -> str:
    """The last part of an upload's key, without suffix: what people call a capture."""
    name = capture.rpartition("/")[2]
    return name.rpartition(".")[0] or name


def _refused_updates(taken: Taken) -> Iterable[dict[str, Any]]:
    for refused in taken.report.refused_updates:
        reason = {"version": refused.version, "reason": plain(refused.reason)}
        yield {"device": taken.report.device, "at": taken.written, **reason}


def inserting(connection: Connection, table: Table) -> Any:
    """An INSERT that can say what is to be done where the row is there."""
    return (postgresql if connection.dialect.name == "postgresql" else sqlite).insert(table)


def key_of(table: Table) -> list[str]:
    return [column.name for column in table.primary_key]


def add_amounts(connection: Connection, table: Table, rows: Sequence[dict[str, Any]]) -> None:
    """Add to each row's amount what is new, or begin with it."""
    if rows:
        statement = inserting(connection, table)
        summed = {"amount": table.c.amount + statement.excluded.amount}
        connection.execute(statement.on_conflict_do_update(index_elements=key_of(table), set_=summed), rows)


def hour_of(time: datetime) -> datetime:
    return time.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
