"""Purge quarantine: what nobody released in its time loses its bytes; the ledger keeps what it was, and why."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, or_, select

from hemaloop.ingest.ledger import CHUNK, Ledger, Step, read_uploads, selected, set_columns, take
from hemaloop.ingest.quarantine import objects_of
from hemaloop.ingest.records import Upload
from hemaloop.ingest.schema import uploads
from hemaloop.ingest.states import State
from hemaloop.protocol.keys import IMAGE_SUFFIXES, parse_upload_key, sidecar_key
from hemaloop.storage import Bucket

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Purged:
    uploads: int
    bytes: int  # of the images


def due(ledger: Ledger, older_than: timedelta, now: datetime) -> list[Upload]:
    """What has been in quarantine for longer, in order of keys."""
    query = selected().where(_due(now - older_than)).order_by(uploads.c.key, uploads.c.id)
    with ledger.reading() as connection:
        return read_uploads(connection, query)


def purge(ledger: Ledger, bucket: Bucket, older_than: timedelta, actor: str, now: datetime) -> Purged:
    """Take the bytes of what has been in quarantine for longer than `older_than`; what was released is not touched.

    First the ledger says that an upload is purged, in a transaction, so that no person can release it any more;
    then its objects go, and last the ledger forgets where they were. Killed anywhere, the next purge goes on.
    """
    before, done = now - older_than, Purged(0, 0)
    while marked := _mark(ledger, bucket.url, before, actor, now):
        for upload in marked:
            _delete(bucket, upload)
        with ledger.writing() as connection:
            set_columns(connection, {upload.id: {"quarantine_key": None, "stored_key": None} for upload in marked})
        done = Purged(done.uploads + len(marked), done.bytes + sum(upload.size for upload in marked))
        log.info("%d uploads purged from quarantine", len(marked))
    return done


def _mark(ledger: Ledger, bucket: str, before: datetime, actor: str, now: datetime) -> Sequence[Upload]:
    """Some whose objects are to go now: those that a killed purge left, and those that are due."""
    left = and_(uploads.c.state == State.PURGED, uploads.c.quarantine_key.is_not(None))
    query = select(uploads.c.id).where(uploads.c.bucket == bucket, or_(left, _due(before))).limit(CHUNK)
    with ledger.reading() as connection:
        if connection.execute(query).first() is None:
            return ()
    with ledger.writing() as connection:
        ids = list(connection.execute(query).scalars())
        found = read_uploads(connection, selected().where(uploads.c.id.in_(ids)))
        steps = [
            Step(upload.id, State.PURGED, f"in quarantine ({upload.reason}) since {upload.quarantined_at:%Y-%m-%d}")
            for upload in found
            if upload.state is State.QUARANTINED
        ]
        take(connection, steps, actor, now)
    return found


def _due(before: datetime) -> ColumnElement[bool]:
    return and_(uploads.c.state == State.QUARANTINED, uploads.c.quarantined_at < before)


def _delete(bucket: Bucket, upload: Upload) -> None:
    """The copy with all that lies beside it; and the original, where no other object has taken its place."""
    for key in objects_of(upload.quarantine_key) if upload.quarantine_key else ():
        bucket.delete(key)
    there = next((stored for stored in bucket.list(upload.key) if stored.key == upload.key), None)
    if there is not None and upload.etag.startswith(there.etag):  # the ledger may have added a time to it
        bucket.delete(upload.key)
        if not _has_siblings(bucket, upload.key):
            bucket.delete(sidecar_key(upload.key))


def _has_siblings(bucket: Bucket, key: str) -> bool:
    """Whether another image has the same sidecar; what lies in no device's place has none."""
    place = parse_upload_key(key)
    if place is None:
        return True
    others = (key.removesuffix(place.suffix) + suffix for suffix in IMAGE_SUFFIXES if suffix != place.suffix)
    return any(bucket.exists(other) for other in others)
