"""Uploads with private metadata: the copy without it is kept in the bucket, and the original leaves in its time."""

import hashlib
import logging
from datetime import datetime, timedelta

from sqlalchemy import select

from hemaloop.errors import HemaloopError
from hemaloop.imaging.strip import strip_private
from hemaloop.ingest import removals
from hemaloop.ingest.ledger import CHUNK, Ledger, record, set_columns
from hemaloop.ingest.privacy import stripped_key
from hemaloop.ingest.quarantine import objects_of
from hemaloop.ingest.schema import uploads
from hemaloop.ingest.states import State
from hemaloop.storage import Bucket

log = logging.getLogger(__name__)


def keep_stripped(bucket: Bucket, key: str, sent_sha256: str, sha256: str) -> bool:
    """Write the copy of an upload to the bucket; whether the upload is still there as it was measured.

    The same original gives the same copy: written again, it changes nothing.
    """
    data = bucket.read_many([key])[key] or b""
    if _sha256(data) != sent_sha256:
        return False
    clean = strip_private(data)
    if _sha256(clean) != sha256:
        raise HemaloopError(f"{key}: taken from it twice, private metadata left different bytes: is a node older?")
    bucket.write(stripped_key(key, sha256), clean)
    return True


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def purge_originals(ledger: Ledger, bucket: Bucket, older_than: timedelta, actor: str, now: datetime) -> int:
    """Delete the quarantined originals of copies that have arrived, after `older_than` in quarantine; how many.

    First the ledger says so, in a transaction; killed after that, the next run deletes them.
    """
    # A copy that is not versioned yet may have to be made from its original once more.
    arrived = uploads.c.state.in_((State.VERSIONED, State.DUPLICATE)) & uploads.c.sent_sha256.is_not(None)
    due = arrived & uploads.c.quarantine_key.is_not(None) & (uploads.c.quarantined_at < now - older_than)
    query = select(uploads.c.id, uploads.c.state, uploads.c.quarantine_key).where(uploads.c.bucket == bucket.url, due)
    done = 0
    while True:
        with ledger.writing() as connection:
            found = connection.execute(query.limit(CHUNK)).all()
            gone = [removals.Removal(row.id, key) for row in found for key in objects_of(row.quarantine_key)]
            removals.ask(connection, gone)
            set_columns(connection, {row.id: {"quarantine_key": None} for row in found})
            note = "the original with its private metadata left quarantine: its time was up"
            record(connection, [(row.id, State(row.state), note) for row in found], actor, now)
        if not found:
            break
        done += len(found)
    removals.carry_out(ledger, bucket)
    return done
