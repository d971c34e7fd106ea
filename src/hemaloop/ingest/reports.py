"""What devices report, as rows of the ledger."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby, islice

from sqlalchemy import insert, select

from hemaloop.errors import DataError
from hemaloop.ingest.ledger import CHUNK, Ledger
from hemaloop.ingest.schema import reports
from hemaloop.protocol.documents import decode
from hemaloop.protocol.keys import REPORTS
from hemaloop.protocol.report import Report
from hemaloop.storage import Bucket

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class DeviceState:
    """All that a device has reported, added up."""

    device: str
    last_seen: datetime
    version: int | None
    self_test: str
    uploaded: int
    classified: int
    unreadable: int
    refused_updates: int
    latency_ms: float | None  # of the newest report that has one


def collect(ledger: Ledger, bucket: Bucket) -> int:
    """Take new reports into the ledger; how many. A report that cannot be read is logged and left where it is."""
    listed = (found.key for found in bucket.list(REPORTS))
    taken = 0
    while keys := list(islice(listed, CHUNK)):
        with ledger.reading() as connection:
            known = set(connection.scalars(select(reports.c.key).where(reports.c.key.in_(keys))))
        rows = [
            {"key": key, "device": report.device, "body": body.decode()}
            for key, body, report in _readable(bucket.read_many([key for key in keys if key not in known]))
        ]
        if rows:
            taken += _enter(ledger, rows)
    return taken


def fleet(ledger: Ledger) -> list[DeviceState]:
    """Every device that ever reported."""
    query = select(reports.c.device, reports.c.body).order_by(reports.c.device, reports.c.key)
    with ledger.reading() as connection:
        by_device = groupby(connection.execute(query), key=lambda row: row.device)
        return [_state(device, [decode(row.body.encode(), Report) for row in rows]) for device, rows in by_device]


def _enter(ledger: Ledger, rows: list[dict[str, str]]) -> int:
    """Enter those that no other run has entered meanwhile."""
    with ledger.writing() as connection:
        known = select(reports.c.key).where(reports.c.key.in_([row["key"] for row in rows]))
        quicker = set(connection.scalars(known))
        if new := [row for row in rows if row["key"] not in quicker]:
            connection.execute(insert(reports), new)
    return len(new)


def _readable(contents: dict[str, bytes | None]) -> Iterator[tuple[str, bytes, Report]]:
    for key, body in contents.items():
        try:
            if body is None:
                continue
            report = decode(body, Report)
            if not key.startswith(f"{REPORTS}{report.device}/"):
                raise DataError(f"it says it is of device {report.device}")
            yield key, body, report
        except (DataError, UnicodeDecodeError) as error:
            log.warning("report %s passed over: %s", key, error)


def _state(device: str, told: list[Report]) -> DeviceState:
    """`told` in order of time, at least one."""
    last = max(told, key=lambda report: report.at)
    return DeviceState(
        device=device,
        last_seen=last.at,
        version=last.model_version,
        self_test=last.self_test,
        uploaded=sum(report.uploaded for report in told),
        classified=sum(sum(report.classified.values()) for report in told),
        unreadable=sum(report.unreadable for report in told),
        refused_updates=sum(len(report.refused_updates) for report in told),
        latency_ms=next((report.latency_ms for report in reversed(told) if report.latency_ms is not None), None),
    )
