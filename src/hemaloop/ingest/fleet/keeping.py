"""What the fleet's tables keep: single reports and answers for so many days, sums of months for ever."""

import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import groupby

from sqlalchemy import ColumnElement, Connection, Delete, and_, delete, func, insert, select

from hemaloop.ingest.ledger import Ledger, chunks
from hemaloop.ingest.schema import (
    alarms,
    answers,
    counts,
    heard_counts,
    heard_hours,
    refused_reports,
    refused_updates,
    reports,
)
from hemaloop.storage import Bucket

log = logging.getLogger(__name__)

MOST = 5000  # reports that one run drops; the next goes on
THREADS = 8


def drop_old(ledger: Ledger, bucket: Bucket, days: int, now: datetime) -> int:
    """Drop what is older than `days`, and fold the hours of old months into one; how many reports went.

    A report leaves the bucket before the ledger: else it would be taken in again, and count twice. Its answers go with
    it, here and there, so that `forget` has nothing to look for.
    """
    day = (now - timedelta(days=days)).astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    dropped = sum(_drop(ledger, bucket, keys) for keys in chunks(_reports_before(ledger, day)))
    if dropped < MOST and _is_due(ledger, day):
        with ledger.writing() as connection:
            _fold(connection, day.replace(day=1))
            for older in _others(day):
                connection.execute(older)
    if dropped:
        log.info("dropped %d reports from before %s", dropped, day.date())
    return dropped


def _reports_before(ledger: Ledger, day: datetime) -> Sequence[str]:
    query = select(reports.c.key).where(reports.c.received_at < day).order_by(reports.c.received_at).limit(MOST)
    with ledger.reading() as connection:
        return connection.scalars(query).all()


def _drop(ledger: Ledger, bucket: Bucket, keys: Sequence[str]) -> int:
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(bucket.delete, keys))
    with ledger.writing() as connection:
        connection.execute(delete(answers).where(answers.c.report.in_(keys)))
        connection.execute(delete(reports).where(reports.c.key.in_(keys)))
    return len(keys)


def _is_due(ledger: Ledger, day: datetime) -> bool:
    """Once a day: what follows reads all months."""
    with ledger.reading() as connection:
        return connection.scalar(select(heard_hours.c.hour).where(heard_hours.c.hour < day).limit(1)) is not None


def _others(day: datetime) -> Iterator[Delete]:
    """An alarm that is open stays."""
    times = (heard_counts.c.hour, heard_hours.c.hour, refused_reports.c.at, refused_updates.c.at, alarms.c.closed_at)
    return (delete(time.table).where(time < day) for time in times)


def _fold(connection: Connection, month: datetime) -> None:
    """Bring the hours of each month before `month` into the first of them in which a device ran a version."""
    query = select(counts.c.device, counts.c.version, counts.c.hour).where(counts.c.hour < month).distinct()
    rows = connection.execute(query.order_by(counts.c.device, counts.c.version, counts.c.hour))
    found = groupby(rows.all(), key=lambda row: (row.device, row.version, row.hour.year, row.hour.month))
    for (device, version, *_), of_month in found:
        hours = [row.hour for row in of_month]
        if len(hours) > 1:
            between = counts.c.hour.between(hours[0], hours[-1])
            _fold_one(connection, and_(counts.c.device == device, counts.c.version == version, between), hours[0])


def _fold_one(connection: Connection, these: ColumnElement[bool], hour: datetime) -> None:
    names = (counts.c.device, counts.c.version, counts.c.kind, counts.c.name)
    query = select(*names, func.sum(counts.c.amount).label("amount")).where(these).group_by(*names)
    folded = [{**row._mapping, "hour": hour, "amount": int(row.amount)} for row in connection.execute(query)]
    connection.execute(delete(counts).where(these))
    connection.execute(insert(counts), folded)
