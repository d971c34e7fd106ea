"""Reconciliation: the whole of uploads/ against the ledger, page by page, in bounded memory."""

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import Row, insert, select, update

from hemaloop.ingest.entering import Finder, enter_pairs
from hemaloop.ingest.finding import Pair, is_recent, is_settled, pair
from hemaloop.ingest.ledger import Ledger
from hemaloop.ingest.schema import reconciliations
from hemaloop.protocol.keys import UPLOADS
from hemaloop.storage import StoredObject

log = logging.getLogger(__name__)

_EXAMPLES = 10  # lone sidecars that are named in the log


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
    lone_sidecars: int = 0
    examples: list[str] = field(default_factory=list)


def reconcile(finder: Finder) -> Reconciliation:
    """List the whole of uploads/ once, and enter what the ledger does not know.

    Killed anywhere, what it had entered stays, and the next one begins anew: nothing is entered twice.
    """
    began = time.monotonic()
    id_ = _begin(finder)
    counts, entered, missed = _Counts(), 0, 0
    pairs = _count_alone(finder, pair(_objects(finder, counts)), counts)
    for stored in enter_pairs(finder, pairs):
        entered += 1
        missed += not is_recent(stored.key, finder.now, finder.params.window_days)
    ended_at = finder.now + timedelta(seconds=time.monotonic() - began)
    found = Reconciliation(finder.now, ended_at, counts.lists, counts.objects, entered, missed, counts.lone_sidecars)
    _end(finder.ledger, id_, found)
    log.info(
        "%s reconciled: %d new uploads, %d objects, %d LISTs", finder.bucket.url, entered, found.objects, found.lists
    )
    if counts.examples:
        log.warning("%d sidecars whose image has not come: %s ...", counts.lone_sidecars, ", ".join(counts.examples))
    return found


def last_reconciliation(ledger: Ledger, bucket: str) -> Reconciliation | None:
    """The last one that came to its end."""
    query = select(reconciliations).where(reconciliations.c.bucket == bucket, reconciliations.c.ended_at.is_not(None))
    with ledger.reading() as connection:
        row = connection.execute(query.order_by(reconciliations.c.id.desc()).limit(1)).first()
    return None if row is None else _as_value(row)


def _objects(finder: Finder, counts: _Counts) -> Iterator[StoredObject]:
    for page in finder.bucket.pages(UPLOADS):
        counts.lists += 1
        counts.objects += len(page)
        yield from page


def _count_alone(finder: Finder, pairs: Iterator[Pair], counts: _Counts) -> Iterator[Pair]:
    """A young one is no news: its image came after the page that it belongs on had been listed."""
    for found in pairs:
        if found.image is None and found.sidecar and is_settled(found.sidecar, finder.settle, finder.now):
            counts.lone_sidecars += 1
            counts.examples += [found.sidecar.key] if len(counts.examples) < _EXAMPLES else []
        yield found


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
