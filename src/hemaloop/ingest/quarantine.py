"""Quarantine: what was refused, kept with the reason, and let in again by a person."""

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from datetime import UTC, datetime

from sqlalchemy import func, select

from hemaloop.errors import DataError
from hemaloop.imaging.strip import strip_private
from hemaloop.imaging.thumbnail import thumbnail
from hemaloop.ingest.admission import admit
from hemaloop.ingest.ledger import Ledger, chunks, read_uploads, selected
from hemaloop.ingest.measuring import Measured
from hemaloop.ingest.records import Upload
from hemaloop.ingest.rounds import device_of
from hemaloop.ingest.rules import CONSENT_WITHDRAWN, LABEL_UNKNOWN, Refusal
from hemaloop.ingest.schema import uploads
from hemaloop.ingest.states import State
from hemaloop.protocol.keys import QUARANTINE, UPLOADS
from hemaloop.storage import Bucket

log = logging.getLogger(__name__)

THUMBNAIL = ".thumbnail.jpg"
WRITERS = 8  # at once; they wait for the bucket


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


def objects_of(key: str) -> tuple[str, ...]:
    """All that quarantine/ holds of one upload: its bytes, the reason, and a small picture where it decodes."""
    return (key, f"{key}.json", f"{key}{THUMBNAIL}")


def put_all(
    bucket: Bucket, measured: Sequence[Measured], refused: Mapping[int, Refusal], keys: Mapping[int, str], now: datetime
) -> None:
    """Copy refused objects into quarantine, and write why beside each. Again, it writes the same."""
    with ThreadPoolExecutor(WRITERS) as pool:
        done = [pool.submit(put, bucket, found, refused[found.upload], keys[found.upload], now) for found in measured]
        for each in done:
            each.result()


def put(bucket: Bucket, found: Measured, refusal: Refusal, key: str, now: datetime) -> None:
    """Copy one refused object into quarantine, with its picture, and write why beside it."""
    if not _copy(bucket, found, key):
        log.info("%s is gone: its quarantine has the reason alone", found.key)
    document = {
        "upload": found.key,
        "reason": refusal.reason,
        "note": refusal.note,
        "at": now.isoformat(),
        "measures": asdict(found.measures) if found.measures else None,
    }
    bucket.write(f"{key}.json", json.dumps(document, indent=2, sort_keys=True).encode())


def find(ledger: Ledger, reason: str = "", device: str = "") -> list[Upload]:
    """What is in quarantine, in order of keys: all, or of one reason, or of one device."""
    query = selected().where(uploads.c.state == State.QUARANTINED)
    if reason:
        query = query.where(uploads.c.reason == reason)
    with ledger.reading() as connection:
        found = read_uploads(connection, query.order_by(uploads.c.key, uploads.c.id))
    return [upload for upload in found if not device or device_of(upload.key) == device]


def pictures(ledger: Ledger, bucket: Bucket, refused: Sequence[int]) -> dict[int, bytes]:
    """The small pictures of refused uploads, where they have one."""
    keys = {f"{key}{THUMBNAIL}": upload for upload, key in quarantine_keys(ledger, refused).items()}
    return {keys[key]: data for key, data in bucket.read_many(list(keys)).items() if data is not None}


def _copy(bucket: Bucket, found: Measured, key: str) -> bool:
    """Just the bytes that were judged, unless they were never read; whether they were there."""
    try:
        if not (found.measures and found.measures.sha256):
            bucket.copy(found.key, key)
            return True
        data = bucket.read(found.key)
    except FileNotFoundError:
        return False
    if hashlib.sha256(data).hexdigest() != (found.stripped.sent_sha256 if found.stripped else found.measures.sha256):
        return False
    if found.stripped and not found.stripped.keep_original:
        data = strip_private(data)
    bucket.write(key, data)
    if (picture := thumbnail(data)) is not None:
        bucket.write(f"{key}{THUMBNAIL}", picture)
    return True


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
    state = traces[-1].upload.state
    more = ": its bytes are gone since its time was up; upload it again" if state is State.PURGED else ""
    raise DataError(f"{key} is not in quarantine: it is {state}{more}")


def _as_measured(upload: Upload) -> Measured:
    if upload.reason == CONSENT_WITHDRAWN:
        raise DataError(f"{upload.key}: the patient's consent was withdrawn: nobody can let it in")
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
