"""Collect reports: list what may be new, read what is, and add it up. Cost follows what is new."""

import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

import hemaloop
from hemaloop.errors import DataError
from hemaloop.ingest.fleet.hearing import sum_up
from hemaloop.ingest.fleet.keeping import drop_old
from hemaloop.ingest.fleet.parameters import FleetParams
from hemaloop.ingest.fleet.reading import LARGEST, plain, read_report, too_large
from hemaloop.ingest.fleet.sums import Taken, add
from hemaloop.ingest.ledger import CHUNK, Ledger, chunks
from hemaloop.ingest.schema import refused_reports, report_looks, reports
from hemaloop.protocol.documents import decode, encode
from hemaloop.protocol.keys import NAME, REPORTS
from hemaloop.protocol.report import Report
from hemaloop.storage import Bucket, StoredObject

log = logging.getLogger(__name__)

THREADS = 8  # devices whose reports are listed at once


@dataclass(frozen=True)
class Collected:
    """What was new."""

    taken: int = 0
    refused: int = 0

    def __add__(self, other: "Collected") -> "Collected":
        return Collected(self.taken + other.taken, self.refused + other.refused)


@dataclass(frozen=True)
class _Refused:
    stored: StoredObject
    reason: str


def collect(ledger: Ledger, bucket: Bucket, params: FleetParams, now: datetime) -> Collected:
    """Take new reports into the ledger. What is not believed is kept with its reason, and left where it is.

    Each device's recent days are listed; all its reports where that was long ago, and of a new device.
    """
    found = add_up_earlier(ledger, now)
    hear_earlier(ledger)
    looked, due = _looks(ledger, bucket.url), now - timedelta(seconds=params.look_seconds)
    folders = [folder for folder in bucket.folders(REPORTS) if NAME.fullmatch(_device_in(folder))]
    recent = [folder for folder in folders if looked.get(_device_in(folder), due) > due]
    with ThreadPoolExecutor(THREADS) as pool:
        listed = pool.map(lambda folder: _new_recent(ledger, bucket, folder, params.window_days, now), recent)
        new = [stored for of_device in listed for stored in of_device]
    found += _take(ledger, bucket, new, now)
    for folder in sorted(set(folders) - set(recent)):
        for page in bucket.pages(folder):
            found += _take(ledger, bucket, _unknown(ledger, page), now)
        _note_look(ledger, bucket.url, _device_in(folder), now)
    drop_old(ledger, bucket, params.keep_days, now)
    if found != Collected():
        log.info("%d new reports, %d refused", found.taken, found.refused)
    return found


def add_up_earlier(ledger: Ledger, now: datetime) -> Collected:
    """Add up reports that came when there were no sums yet; their own clocks are all that is known of their time."""
    query = select(reports.c.key, reports.c.body).where(reports.c.received_at.is_(None)).limit(CHUNK)
    found = Collected()
    while True:
        with ledger.writing() as connection:
            rows = connection.execute(query).all()
            if not rows:
                return found
            read = [_read(StoredObject(key, len(body), "", now), body.encode(), now) for key, body in rows]
            taken = [replace(each, received=min(each.report.at, now)) for each in read if isinstance(each, Taken)]
            refused = [each for each in read if isinstance(each, _Refused)]
            for each in taken:
                connection.execute(
                    update(reports).where(reports.c.key == each.key).values(received_at=each.received, heard=True)
                )
            connection.execute(delete(reports).where(reports.c.key.in_([each.stored.key for each in refused])))
            add(connection, taken)
            sum_up(connection, taken)
            _refuse(connection, refused, now)
        found += Collected(len(taken), len(refused))


def hear_earlier(ledger: Ledger) -> None:
    """Add up by hours what was taken in before there were such sums."""
    query = select(reports.c.key, reports.c.body, reports.c.received_at)
    query = query.where(reports.c.heard.is_(None), reports.c.received_at.is_not(None)).limit(CHUNK)
    while True:
        with ledger.writing() as connection:
            rows = connection.execute(query).all()
            if not rows:
                return
            taken = [Taken(row.key, decode(row.body.encode(), Report), row.received_at) for row in rows]
            sum_up(connection, taken)
            connection.execute(update(reports).where(reports.c.key.in_([row.key for row in rows])).values(heard=True))


def _device_in(key: str) -> str:
    return key.removeprefix(REPORTS).partition("/")[0]


def _new_recent(ledger: Ledger, bucket: Bucket, folder: str, window_days: int, now: datetime) -> list[StoredObject]:
    pages = _recent(bucket, folder, window_days, now)
    return [stored for page in pages for stored in _unknown(ledger, page)]


def _recent(bucket: Bucket, folder: str, window_days: int, now: datetime) -> Iterator[Sequence[StoredObject]]:
    """A device's reports of the window's days, to tomorrow: by its own clock, whose time is in their keys."""
    today = now.astimezone(UTC).date()
    first = f"{folder}{today - timedelta(days=window_days):%Y/%m/%d}/"
    beyond = f"{folder}{today + timedelta(days=2):%Y/%m/%d}/"
    for page in bucket.pages(folder, start_after=first):
        yield [stored for stored in page if stored.key < beyond]
        if page and page[-1].key >= beyond:
            return  # where a clock is far ahead, there may be any number of them


def _unknown(ledger: Ledger, page: Sequence[StoredObject]) -> list[StoredObject]:
    """Those that are neither taken nor refused as they are, by us."""
    keys = [stored.key for stored in page]
    known: set[tuple[str, str | None]] = set()
    with ledger.reading() as connection:
        for chunk in chunks(keys):
            known |= {(key, None) for key in connection.scalars(select(reports.c.key).where(reports.c.key.in_(chunk)))}
            refused = select(refused_reports.c.key, refused_reports.c.etag).where(
                refused_reports.c.key.in_(chunk), refused_reports.c.reader == hemaloop.__version__
            )
            known |= {(key, etag) for key, etag in connection.execute(refused)}
    return [each for each in page if not {(each.key, None), (each.key, each.etag)} & known]


def _take(ledger: Ledger, bucket: Bucket, found: Sequence[StoredObject], now: datetime) -> Collected:
    done = Collected()
    for chunk in chunks(found):
        bodies = bucket.read_many([stored.key for stored in chunk if stored.size <= LARGEST])
        read = [_refused(stored, too_large(stored.size)) for stored in chunk if stored.size > LARGEST]
        for stored in chunk:
            if (body := bodies.get(stored.key)) is not None:
                read.append(_read(stored, body, now))
        done += _enter(ledger, read, now)
    return done


def _read(stored: StoredObject, body: bytes, now: datetime) -> "Taken | _Refused":
    try:
        return Taken(stored.key, read_report(stored.key, body), min(stored.modified, now))
    except (DataError, UnicodeError, RecursionError) as error:
        return _refused(stored, error)


def _refused(stored: StoredObject, error: Exception) -> "Taken | _Refused":
    log.warning("report %s refused: %s", stored.key, error)
    return _Refused(stored, plain(str(error)))


def _enter(ledger: Ledger, read: "Sequence[Taken | _Refused]", now: datetime) -> Collected:
    """Enter those that no other run has entered meanwhile, and add them up, all in one transaction."""
    taken = [each for each in read if isinstance(each, Taken)]
    refused = [each for each in read if isinstance(each, _Refused)]
    if not read:
        return Collected()
    with ledger.writing() as connection:
        known = set(connection.scalars(select(reports.c.key).where(reports.c.key.in_([each.key for each in taken]))))
        new = [each for each in taken if each.key not in known]
        if new:
            connection.execute(insert(reports), [_row(each) for each in new])
        add(connection, new)
        sum_up(connection, new)
        _refuse(connection, refused, now)
    return Collected(len(new), len(refused))


def _row(taken: Taken) -> dict[str, Any]:
    # Its answers have rows of their own, so that a person's can be forgotten.
    body = encode(replace(taken.report, answers=())).decode()
    return {"key": taken.key, "device": taken.report.device, "body": body, "received_at": taken.received, "heard": True}


def _refuse(connection: Connection, refused: Sequence[_Refused], now: datetime) -> None:
    """A report that is refused again, since it or we have changed, takes the place of what was said of it."""
    if not refused:
        return
    keys = [each.stored.key for each in refused]
    connection.execute(delete(refused_reports).where(refused_reports.c.key.in_(keys)))
    rows = [
        {"key": each.stored.key, "device": _device_in(each.stored.key), "etag": each.stored.etag, "at": now}
        | {"reason": each.reason, "reader": hemaloop.__version__}
        for each in refused
    ]
    connection.execute(insert(refused_reports), rows)


def _looks(ledger: Ledger, bucket: str) -> dict[str, datetime]:
    query = select(report_looks.c.device, report_looks.c.at).where(report_looks.c.bucket == bucket)
    with ledger.reading() as connection:
        return {row.device: row.at for row in connection.execute(query)}


def _note_look(ledger: Ledger, bucket: str, device: str, now: datetime) -> None:
    of_device = (report_looks.c.bucket == bucket) & (report_looks.c.device == device)
    with ledger.writing() as connection:
        connection.execute(delete(report_looks).where(of_device))
        connection.execute(insert(report_looks).values(bucket=bucket, device=device, at=now))
