"""Find new uploads: the listing finds, the ledger decides."""

import logging
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from sqlalchemy import Connection, insert, select

from hemaloop.ingest.ledger import Ledger, chunks, record
from hemaloop.ingest.schema import uploads
from hemaloop.ingest.states import State
from hemaloop.protocol.keys import UPLOADS, sidecar_key
from hemaloop.storage import Bucket, StoredObject

log = logging.getLogger(__name__)

SIDECAR = ".json"


def discover(ledger: Ledger, bucket: Bucket, settle_seconds: float, now: datetime, actor: str) -> int:
    """Enter what is new under uploads/ in the ledger; returns how many. Again, it enters nothing twice."""
    ready = complete(bucket.list(UPLOADS), timedelta(seconds=settle_seconds), now)
    entered = sum(_enter(ledger, bucket.url, chunk, now, actor) for chunk in chunks(ready))
    if entered:
        log.info("%d new uploads in %s", entered, bucket.url)
    return entered


def complete(objects: Iterable[StoredObject], settle: timedelta, now: datetime) -> list[StoredObject]:
    """The uploads that have arrived whole: those with a sidecar, and those that have not changed for `settle`."""
    found = [stored for stored in objects if not stored.key.endswith("/")]
    sidecars = {stored.key for stored in found if stored.key.endswith(SIDECAR)}
    return [
        stored
        for stored in found
        if not stored.key.endswith(SIDECAR) and (sidecar_key(stored.key) in sidecars or now - stored.modified >= settle)
    ]


def _enter(ledger: Ledger, url: str, objects: Sequence[StoredObject], now: datetime, actor: str) -> int:
    with ledger.reading() as connection:  # without news, no writer has to be waited for
        if not _unknown(connection, url, objects):
            return 0
    with ledger.writing() as connection:
        new = _unknown(connection, url, objects)
        values = [{"bucket": url, "key": o.key, "etag": o.etag, "size": o.size, "modified": o.modified} for o in new]
        for value in values:
            entered = connection.execute(insert(uploads).values(state=State.DISCOVERED, **value))
            (id_,) = entered.inserted_primary_key or (0,)
            record(connection, [(id_, State.DISCOVERED, f"{value['size']} bytes in {url}")], actor, now)
    return len(new)


def _unknown(connection: Connection, url: str, objects: Sequence[StoredObject]) -> list[StoredObject]:
    keys = [stored.key for stored in objects]
    query = select(uploads.c.key, uploads.c.etag).where(uploads.c.bucket == url, uploads.c.key.in_(keys))
    known = {(key, etag) for key, etag in connection.execute(query)}
    return [stored for stored in objects if (stored.key, stored.etag) not in known]
