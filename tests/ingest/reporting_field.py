"""Devices that report, a bucket that remembers what was asked of it, and a ledger that takes it in."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import select

from hemaloop.ingest.fleet.collecting import Collected, collect
from hemaloop.ingest.fleet.parameters import FleetParams
from hemaloop.ingest.fleet.table import Device, fleet
from hemaloop.ingest.ledger import Ledger
from hemaloop.ingest.schema import refused_reports
from hemaloop.protocol.documents import encode
from hemaloop.protocol.keys import report_key
from hemaloop.protocol.report import Report
from hemaloop.storage import Bucket

NOW = datetime.now(UTC).replace(microsecond=0)
MINUTE = timedelta(minutes=1)
PARAMS = FleetParams(3, 3600, 7, 0.2, 0.1, 0.05, 24, 400)
BINS = (0, 0, 0, 0, 0, 0, 0, 0, 1, 2)


def said(at: datetime = NOW, **what: object) -> Report:
    return replace(Report("pi-1", at, "0.1.0", 7, "passed"), **what)  # type: ignore[arg-type]


class CountingBucket(Bucket):
    """The same bucket; it remembers what was read and listed."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.was_read: list[str] = []
        self.listed: list[tuple[str, str]] = []

    def read_many(self, keys: Sequence[str]) -> dict[str, bytes | None]:
        self.was_read += keys
        return super().read_many(keys)

    def pages(self, prefix: str, start_after: str = "") -> object:  # type: ignore[override]
        self.listed.append((prefix, start_after))
        return super().pages(prefix, start_after)


class Field:
    """Devices that report, and a ledger that takes it in."""

    def __init__(self, ledger_url: str, folder: Path) -> None:
        self.bucket = CountingBucket(f"file://{folder}/bucket")
        self.bucket.create()
        self.ledger = Ledger(ledger_url)

    def report(self, *told: Report) -> None:
        for each in told:
            self.bucket.write(report_key(each.device, each.at), encode(each))

    def collect(self, now: datetime | None = None) -> Collected:
        return collect(self.ledger, self.bucket, PARAMS, now or datetime.now(UTC))

    def device(self, name: str = "pi-1") -> Device:
        return next(each for each in fleet(self.ledger) if each.device == name)

    def refused(self) -> dict[str, str]:
        with self.ledger.reading() as connection:
            return {row.key: row.reason for row in connection.execute(select(refused_reports))}
