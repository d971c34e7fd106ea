"""Reconciliation: the whole of uploads/ against the ledger, page by page, in bounded memory."""

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Row, insert, select, update

from hemaloop.ingest.entering import Finder, enter_pairs
from hemaloop.ingest.finding import is_recent, pair
from hemaloop.ingest.ledger import Ledger
from hemaloop.ingest.schema import reconciliations
from hemaloop.protocol.keys import UPLOADS
from hemaloop.storage import StoredObject

log = logging.getLogger(__name__)

_NAMED = 10  # sidecars alone, in the log; the others are only counted


@dataclass(frozen=True)
class Reconciliation:
    """A look at everything, and what it found."""

    started_at: datetime
    ended_at: datetime
    lists: int  # LIST requests
    objects: int
    entered: int  # uploads that the ledger did not know
    missed: int  # of those, in places that no poll lists
    lone_sidecars: int  # whose image has not come


@dataclass
class _Counts:
    lists: int = 0
    objects: int = 0
    entered: int = 0
    missed: int = 0
    lone_sidecars: int = 0


def reconcile(finder: Finder) -> Reconciliation:
    """List the whole of uploads/ once, and enter what the ledger does not know.

    Killed anywhere, what it had entered stays, and the next one begins anew: nothing is entered twice.
    """
    began, id_, counts = time.monotonic(), _begin(finder), _Counts()
    for page in enter_pairs(finder, pair(_objects(finder, counts))):
        counts.entered += len(page.new)
        counts.missed += sum(not is_recent(new.key, finder.now, finder.params.window_days) for new in page.new)
        for sidecar in page.alone[: max(0, _NAMED - counts.lone_sidecars)]:
            log.warning("sidecar %s: its image has not come", sidecar.key)
        counts.lone_sidecars += len(page.alone)
    ended_at = finder.now + timedelta(seconds=time.monotonic() - began)
    found = Reconciliation(finder.now, ended_at, **vars(counts))
    _end(finder.ledger, id_, found)
    log.info("%s reconciled: %s", finder.bucket.url, vars(counts))
    return found


def last_reconciliation(ledger: Ledger, bucket: str | None = None) -> Reconciliation | None:
    """The last one that came to its end; of this bucket, or of any."""
    query = select(reconciliations).where(reconciliations.c.ended_at.is_not(None))
    if bucket is not None:
        query = query.where(reconciliations.c.bucket == bucket)
    with ledger.reading() as connection:
        row = connection.execute(query.order_by(reconciliations.c.id.desc()).limit(1)).first()
    return None if row is None else _as_value(row)


def _objects(finder: Finder, counts: _Counts) -> Iterator[StoredObject]:
    for page in finder.bucket.pages(UPLOADS):
        counts.lists += 1
        counts.objects += len(page)
        yield from page


def _begin(finder: Finder) -> int:
    """Its row is there from the start: one without an end was cut short."""
    with finder.ledger.writing() as connection:
        statement = insert(reconciliations).values(bucket=finder.bucket.url, started_at=finder.now)
        (id_,) = connection.execute(statement).inserted_primary_key or (0,)
    return int(id_)


def _end(ledger: Ledger, id_: int, found: Reconciliation) -> None:
    values = {name: value for name, value in vars(found).items() if name != "started_at"}
    with ledger.writing() as connection:
        connection.execute(update(reconciliations).where(reconciliations.c.id == id_).values(values))


def _as_value(row: Row[tuple[object, ...]]) -> Reconciliation:
    return Reconciliation(**{name: row._mapping[name] for name in Reconciliation.__dataclass_fields__})
