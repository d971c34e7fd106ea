"""Purge quarantine: what nobody released in its time loses its bytes; the ledger keeps what it was, and why."""

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, and_

from hemaloop.errors import DataError
from hemaloop.ingest import removals
from hemaloop.ingest.finding import is_identified
from hemaloop.ingest.ledger import CHUNK, Ledger, Step, read_uploads, selected, take
from hemaloop.ingest.quarantine import objects_of
from hemaloop.ingest.records import Upload
from hemaloop.ingest.removals import Removal
from hemaloop.ingest.schema import uploads
from hemaloop.ingest.states import State
from hemaloop.protocol.documents import decode
from hemaloop.protocol.keys import parse_upload_key, sidecar_key
from hemaloop.protocol.sidecar import Sidecar
from hemaloop.storage import Bucket

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Purged:
    uploads: int
    bytes: int  # of what devices sent


def due(ledger: Ledger, bucket: str, older_than: timedelta, now: datetime) -> list[Upload]:
    """What a purge would take, in order of keys."""
    query = selected().where(_due(bucket, now - older_than)).order_by(uploads.c.key, uploads.c.id)
    with ledger.reading() as connection:
        return read_uploads(connection, query)


def purge(ledger: Ledger, bucket: Bucket, older_than: timedelta, actor: str, now: datetime) -> Purged:
    """Take the bytes of what has been in quarantine for longer than `older_than`.

    What a person released is not touched. The ledger says first that an upload is purged, so that nobody can release
    it any more, and with that which objects are to go; then they go. Killed anywhere, the next purge goes on.
    """
    done = Purged(0, 0)
    while taken := _take(ledger, bucket, now - older_than, actor, now):
        removals.carry_out(ledger, bucket)
        done = Purged(done.uploads + len(taken), done.bytes + sum(upload.size for upload in taken))
        log.info("%d uploads purged from quarantine", len(taken))
    removals.carry_out(ledger, bucket)
    return done


def _take(ledger: Ledger, bucket: Bucket, before: datetime, actor: str, now: datetime) -> Sequence[Upload]:
    """Some that are due, in one transaction with what is to be deleted of them."""
    query = selected().where(_due(bucket.url, before)).order_by(uploads.c.id).limit(CHUNK)
    with ledger.reading() as connection:
        candidates = read_uploads(connection, query)
    if not candidates:
        return ()
    beside = _sidecars(bucket, candidates)
    asked = {upload.id: _removals(bucket, upload, beside) for upload in candidates}
    with ledger.writing() as connection:
        again = selected().where(_due(bucket.url, before), uploads.c.id.in_(list(asked)))
        found = read_uploads(connection, again)
        _mark(connection, found, actor, now)
        removals.ask(connection, [each for upload in found for each in asked[upload.id]])
    return found


def _mark(connection: Connection, found: Sequence[Upload], actor: str, now: datetime) -> None:
    steps = [
        Step(upload.id, State.PURGED, f"{upload.reason}: its time in quarantine was up", {"quarantine_key": None})
        for upload in found
    ]
    take(connection, steps, actor, now)


def _due(bucket: str, before: datetime) -> ColumnElement[bool]:
    return and_(uploads.c.bucket == bucket, uploads.c.state == State.QUARANTINED, uploads.c.quarantined_at < before)


def _removals(bucket: Bucket, upload: Upload, beside: Mapping[int, Removal]) -> list[Removal]:
    """The copy with all that lies beside it; and the original with its sidecar, unless others took their places."""
    asked = [Removal(upload.id, key) for key in objects_of(upload.quarantine_key)] if upload.quarantine_key else []
    if sent := upload.sent_sha256 or upload.sha256:
        asked.append(Removal(upload.id, upload.key, sent))
    elif _is_there(bucket, upload):
        asked.append(Removal(upload.id, upload.key))  # it was never read, so that its content is not known
    return [*asked, beside[upload.id]] if upload.id in beside else asked


def _is_there(bucket: Bucket, upload: Upload) -> bool:
    stored = next((each for each in bucket.list(upload.key) if each.key == upload.key), None)
    return stored is not None and is_identified(upload.etag, stored.etag)


def _sidecars(bucket: Bucket, found: Sequence[Upload]) -> dict[int, Removal]:
    """The sidecars that speak of just these images; several images may have had one."""
    keys = {upload.id: sidecar_key(upload.key) for upload in found if parse_upload_key(upload.key)}
    contents = bucket.read_many(sorted(set(keys.values())))
    asked = {}
    for upload in found:
        data = contents.get(keys.get(upload.id, ""))
        if data is not None and _names(data) in {upload.sha256, upload.sent_sha256}:
            asked[upload.id] = Removal(upload.id, keys[upload.id], hashlib.sha256(data).hexdigest())
    return asked


def _names(sidecar: bytes) -> str:
    """The SHA-256 of the image that a sidecar is about."""
    try:
        return decode(sidecar, Sidecar).sha256
    except DataError:
        return ""
