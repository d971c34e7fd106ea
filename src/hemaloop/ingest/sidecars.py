"""Sidecars that come, or are replaced, after their image was settled: taken in while that is possible, else told."""

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select

from hemaloop.errors import DataError
from hemaloop.ingest.ledger import Ledger, read_uploads, record, selected, set_columns
from hemaloop.ingest.records import Upload
from hemaloop.ingest.schema import tombstones, uploads
from hemaloop.ingest.states import State
from hemaloop.protocol.documents import decode, encode
from hemaloop.protocol.keys import parse_upload_key
from hemaloop.protocol.sidecar import Sidecar
from hemaloop.storage import Bucket

log = logging.getLogger(__name__)

# Earlier, measuring reads the sidecar itself; of what was forgotten, nothing is taken in.
SETTLED = frozenset({State.ACCEPTED, State.DUPLICATE, State.QUARANTINED, State.VERSIONED, State.PURGED})


@dataclass(frozen=True)
class News:
    """A sidecar of a settled upload that the ledger has not seen to."""

    upload: int
    key: str  # the sidecar's
    etag: str


@dataclass(frozen=True)
class Outcome:
    """What becomes of a late sidecar."""

    note: str  # for the history; "" where it says nothing new
    values: dict[str, Any] = field(default_factory=dict)  # columns of the upload to set


def take_in(
    ledger: Ledger, bucket: Bucket, news: Sequence[News], classes: Sequence[str], actor: str, now: datetime
) -> None:
    """See to late sidecars, each once: into the ledger while the upload is in no batch, else into its history."""
    contents = bucket.read_many([each.key for each in news])
    said = {each.upload: (each, data) for each in news if (data := contents[each.key]) is not None}
    with ledger.writing() as connection:
        etags = _etags(connection, list(said))
        open_ = [id_ for id_, (each, _) in said.items() if etags[id_] != each.etag]  # others may have been quicker
        values: dict[int, dict[str, Any]] = {}
        for upload in read_uploads(connection, selected().where(uploads.c.id.in_(open_))):
            each, data = said[upload.id]
            outcome = weigh(upload, data, classes, _withdrawn(connection, data))
            values[upload.id] = outcome.values | {"sidecar_etag": each.etag}
            if outcome.note:
                log.info("%s: %s", upload.key, outcome.note)
                record(connection, [(upload.id, upload.state, outcome.note)], actor, now)
        set_columns(connection, values)


def weigh(upload: Upload, data: bytes, classes: Sequence[str], withdrawn: bool) -> Outcome:
    """What becomes of a sidecar that was listed after its upload was settled.

    Args:
        data: the sidecar.
        withdrawn: the patient whom it names has withdrawn consent.
    """
    try:
        said = decode(data, Sidecar)
    except DataError as error:
        return Outcome(f"a sidecar came late, and cannot be read: {error}")
    if said == upload.sidecar:
        return Outcome("")
    if wrong := _mismatch(upload, said):
        return Outcome(f"a sidecar came late, and is not taken in: {wrong}")
    if withdrawn:
        return Outcome("a sidecar came late, and is not taken in: consent was withdrawn: `hemaloop forget` removes it")
    label = f"label {said.label}" if said.label else "no label"
    # Whose image it is counts whatever state it is in, so that `hemaloop forget` finds it.
    whose = {"patient": said.patient} if said.patient and upload.patient is None else {}
    if upload.batch is not None or upload.state is State.PURGED:
        place = f"batch {upload.batch} was sealed without it" if upload.batch else "the image was purged"
        return Outcome(f"a sidecar came too late ({label}): {place}", whose)
    if said.label is not None and said.label not in classes:
        label = f"without its label {said.label!r}, which is none of {', '.join(classes)}"
        said = replace(said, label=None, labelled_by=None)
    return Outcome(
        f"a sidecar came late and was taken in: {label}", {"sidecar": encode(said).decode(), "patient": said.patient}
    )


def _mismatch(upload: Upload, said: Sidecar) -> str:
    place = parse_upload_key(upload.key)
    if upload.sha256 is None or place is None:
        return "no image could be read in its place"
    if said.sha256 != upload.sha256:
        return f"it says SHA-256 {said.sha256}, the image has {upload.sha256}"
    if said.device != place.device:
        return f"it says device {said.device}, the key says {place.device}"
    return ""


def _etags(connection: Connection, ids: Sequence[int]) -> dict[int, str | None]:
    query = select(uploads.c.id, uploads.c.sidecar_etag).where(uploads.c.id.in_(ids))
    return {row.id: row.sidecar_etag for row in connection.execute(query)}


def _withdrawn(connection: Connection, data: bytes) -> bool:
    try:
        patient = decode(data, Sidecar).patient
    except DataError:
        return False
    if patient is None:
        return False
    sha256 = hashlib.sha256(patient.encode()).hexdigest()
    query = select(tombstones.c.kind).where(tombstones.c.kind == "patient", tombstones.c.sha256 == sha256)
    return connection.execute(query).first() is not None
