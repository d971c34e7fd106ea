"""Quarantine: what was refused, kept with the reason, and let in again by a person."""

import json
import logging
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime

from sqlalchemy import func, select

from hemaloop.errors import DataError
from hemaloop.ingest.admission import admit
from hemaloop.ingest.ledger import Ledger, chunks, read_uploads, selected
from hemaloop.ingest.measuring import Measured
from hemaloop.ingest.records import Upload
from hemaloop.ingest.rules import LABEL_UNKNOWN, Refusal
from hemaloop.ingest.schema import uploads
from hemaloop.ingest.states import State
from hemaloop.protocol.keys import QUARANTINE, UPLOADS
from hemaloop.storage import Bucket

log = logging.getLogger(__name__)


def quarantine_keys(ledger: Ledger, refused: Sequence[int]) -> dict[int, str]:
    """Where each goes: its own key below quarantine/; a later object of the same key beside it."""
    keys: dict[int, str] = {}
    first = select(func.min(uploads.c.id)).where(
        uploads.c.bucket == (older := uploads.alias("older")).c.bucket, uploads.c.key == older.c.key
    )
    with ledger.reading() as connection:
        for chunk in chunks(refused):
            query = select(older.c.id, older.c.key, older.c.etag, first.scalar_subquery()).where(older.c.id.in_(chunk))
            for id_, key, etag, oldest in connection.execute(query):
                name = key.removeprefix(UPLOADS)
                keys[id_] = QUARANTINE + (name if id_ == oldest else f"{name}.{etag.replace('/', '_')}")
    return keys


def put(bucket: Bucket, found: Measured, refusal: Refusal, key: str, now: datetime) -> None:
    """Copy a refused object into quarantine, and write why beside it."""
    try:
        bucket.copy(found.key, key)
    except FileNotFoundError:
        log.info("%s is gone: its quarantine has the reason alone", found.key)
    document = {
        "upload": found.key,
        "reason": refusal.reason,
        "note": refusal.note,
        "at": now.isoformat(),
        "measures": asdict(found.measures) if found.measures else None,
    }
    bucket.write(f"{key}.json", json.dumps(document, indent=2, sort_keys=True).encode())


def release(ledger: Ledger, bucket: Bucket, key: str, person: str, reason: str, bits: int) -> State:
    """Let a quarantined upload in again, as a person decided.

    Returns:
        ACCEPTED, or DUPLICATE where the same picture was accepted meanwhile.

    Raises:
        DataError: it is not in quarantine, or no image could be read from it.
    """
    now = datetime.now(UTC)
    upload = _quarantined(ledger, key)
    measured = _as_measured(upload)
    note = f"released from quarantine ({upload.reason}): {reason}"
    with ledger.writing() as connection:
        again = read_uploads(connection, selected().where(uploads.c.id == upload.id))
        if again[0].state is not State.QUARANTINED:
            raise DataError(f"{key} is not in quarantine any more: it is {again[0].state}")
        state = admit(connection, measured, bits, person, now, note, by_person=True)
    _note_release(bucket, upload, person, reason, now)
    log.info("%s was released by %s: %s", key, person, state)
    return state


def _quarantined(ledger: Ledger, key: str) -> Upload:
    traces = ledger.history(key)
    if not traces:
        raise DataError(f"{key}: the ledger has no such upload: `hemaloop quarantine list` shows what is there")
    for trace in reversed(traces):
        if trace.upload.state is State.QUARANTINED:
            return trace.upload
    raise DataError(f"{key} is not in quarantine: it is {traces[-1].upload.state}")


def _as_measured(upload: Upload) -> Measured:
    if upload.measures is None or upload.measures.problem:
        raise DataError(
            f"{upload.key} was refused as {upload.reason}: there is no image in its place to let in; upload it again"
        )
    sidecar = upload.sidecar
    if sidecar is not None and upload.reason == LABEL_UNKNOWN:
        sidecar = replace(sidecar, label=None, labelled_by=None)  # the specialist labels it
    return Measured(upload.id, upload.key, upload.size, measures=upload.measures, sidecar=sidecar)


def _note_release(bucket: Bucket, upload: Upload, person: str, reason: str, now: datetime) -> None:
    """The copy stays, so that quarantine/ tells the whole story without the ledger."""
    if upload.quarantine_key is None:
        return
    key = f"{upload.quarantine_key}.json"
    document = json.loads(bucket.read(key))
    document["released"] = {"by": person, "reason": reason, "at": now.isoformat()}
    bucket.write(key, json.dumps(document, indent=2, sort_keys=True).encode())
