"""What devices report, as rows of the ledger."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Column, MetaData, String, Table, Text, select

from hemaloop.errors import DataError
from hemaloop.ingest.ledger import Ledger
from hemaloop.protocol.documents import decode
from hemaloop.protocol.keys import REPORTS
from hemaloop.protocol.report import Report
from hemaloop.storage import Bucket

log = logging.getLogger(__name__)

METADATA = MetaData()
ROWS = Table(
    "reports",
    METADATA,
    Column("key", String, primary_key=True),
    Column("device", String, nullable=False, index=True),
    Column("body", Text, nullable=False),  # the report's JSON, as the device wrote it
)


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
    with ledger.writing() as connection:
        METADATA.create_all(connection)
        known = set(connection.scalars(select(ROWS.c.key)))
    keys = [found.key for found in bucket.list(REPORTS) if found.key not in known]
    rows = [
        {"key": key, "device": report.device, "body": body.decode()}
        for key, body, report in _readable(bucket.read_many(keys))
    ]
    if rows:
        with ledger.writing() as connection:
            connection.execute(ROWS.insert(), rows)
    return len(rows)


def fleet(ledger: Ledger) -> list[DeviceState]:
    """Every device that ever reported."""
    with ledger.writing() as connection:
        METADATA.create_all(connection)
        bodies = list(connection.scalars(select(ROWS.c.body).order_by(ROWS.c.device, ROWS.c.key)))
    reports: dict[str, list[Report]] = {}
    for body in bodies:
        report = decode(body.encode(), Report)
        reports.setdefault(report.device, []).append(report)
    return [_state(device, of_device) for device, of_device in reports.items()]


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


def _state(device: str, reports: list[Report]) -> DeviceState:
    """`reports` in order of time, at least one."""
    last = max(reports, key=lambda report: report.at)
    return DeviceState(
        device=device,
        last_seen=last.at,
        version=last.model_version,
        self_test=last.self_test,
        uploaded=sum(report.uploaded for report in reports),
        classified=sum(sum(report.classified.values()) for report in reports),
        unreadable=sum(report.unreadable for report in reports),
        refused_updates=sum(len(report.refused_updates) for report in reports),
        latency_ms=next((report.latency_ms for report in reversed(reports) if report.latency_ms is not None), None),
    )
