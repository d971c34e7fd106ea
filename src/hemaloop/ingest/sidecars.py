"""Sidecars that come, or are replaced, after their image was settled: taken in while that is possible, else told."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy import Connection, Select, case

from hemaloop.errors import DataError
from hemaloop.ingest import removals
from hemaloop.ingest.consent import find_withdrawn
from hemaloop.ingest.duplicates import unremember
from hemaloop.ingest.ledger import Ledger, Step, read_uploads, record, selected, set_columns, take
from hemaloop.ingest.measuring import Measured
from hemaloop.ingest.quarantine import objects_of
from hemaloop.ingest.records import Upload
from hemaloop.ingest.removals import Removal
from hemaloop.ingest.rules import Refusal
from hemaloop.ingest.schema import uploads
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
    refusal: Refusal | None = None  # it may not be kept


def take_in(
    ledger: Ledger, bucket: Bucket, news: Sequence[News], classes: Sequence[str], actor: str, now: datetime
) -> None:
    """See to late sidecars, each once: into the ledger while the upload is in no batch, else into its history."""
    contents = bucket.read_many(sorted({each.key for each in news}))
    said = {each.upload: (each, data) for each in news if (data := contents[each.key]) is not None}
    if not said:
        return  # deleted since they were listed
    with ledger.writing() as connection:
        for upload in read_uploads(connection, _unseen(said)):
            each, data = said[upload.id]
            outcome = weigh(upload, data, classes, partial(_withdrawn, connection, upload))
            set_columns(connection, {upload.id: outcome.values | {"sidecar_etag": each.etag}})
            if outcome.refusal:
                _refuse(connection, upload, each.key, outcome.refusal, actor, now)
            elif outcome.note:
                log.info("%s: %s", upload.key, outcome.note)
                record(connection, [(upload.id, upload.state, outcome.note)], actor, now)
    removals.carry_out(ledger, bucket)


def weigh(
    upload: Upload, data: bytes, classes: Sequence[str], withdrawn: Callable[[Sidecar], Refusal | None]
) -> Outcome:
    """What becomes of a sidecar that was listed after its upload was settled.

    Args:
        data: the sidecar.
        classes: the labels that are known.
        withdrawn: why nothing of the sidecar's patient may be kept, if so.
    """
    try:
        said = decode(data, Sidecar)
    except DataError as error:
        return Outcome(f"a sidecar came late, and cannot be read: {error}")
    if said == upload.sidecar:
        return Outcome("")
    if wrong := _mismatch(upload, said):
        return Outcome(f"a sidecar came late, and is not taken in: {wrong}")
    if (refusal := withdrawn(said)) and upload.state is State.ACCEPTED and upload.batch is None:
        return Outcome("", refusal=refusal)
    label = f"label {said.label}" if said.label else "no label"
    # Whose image it is counts whatever has become of it: `hemaloop forget` must find it.
    whose = {"patient": said.patient} if said.patient and upload.patient is None else {}
    if refusal:
        return Outcome("a sidecar came late, of a patient who withdrew consent: `hemaloop forget` removes it", whose)
    if upload.batch is not None or upload.state is State.PURGED:
        place = f"batch {upload.batch} was sealed without it" if upload.batch else "the image was purged"
        return Outcome(f"a sidecar came too late ({label}): {place}", whose)
    if said.label is not None and said.label not in classes:
        label = f"without its label {said.label!r}, which is none of {', '.join(classes)}"
        said = replace(said, label=None, labelled_by=None)
    values = {"sidecar": encode(said).decode(), "patient": said.patient}
    return Outcome(f"a sidecar came late and was taken in: {label}", values)


def _mismatch(upload: Upload, said: Sidecar) -> str:
    place = parse_upload_key(upload.key)
    if upload.sha256 is None or place is None:
        return "no image could be read in its place"
    sent = upload.sent_sha256 or upload.sha256
    if said.sha256 != sent:
        return f"it says SHA-256 {said.sha256}, the image has {sent}"
    if said.device != place.device:
        return f"it says device {said.device}, the key says {place.device}"
    return ""


def _unseen(said: Mapping[int, tuple[News, bytes]]) -> Select[Any]:
    """Those that no other run has seen to meanwhile."""
    etag = case({id_: each.etag for id_, (each, _) in said.items()}, value=uploads.c.id)
    return selected().where(uploads.c.id.in_(list(said)), uploads.c.sidecar_etag.is_distinct_from(etag))


def _withdrawn(connection: Connection, upload: Upload, said: Sidecar) -> Refusal | None:
    found = Measured(upload.id, upload.key, upload.size, measures=upload.measures, sidecar=said)
    return find_withdrawn(connection, [found]).get(upload.id)


def _refuse(connection: Connection, upload: Upload, sidecar: str, refusal: Refusal, actor: str, now: datetime) -> None:
    """As if the sidecar had come in time: nothing is kept."""
    values = {"reason": refusal.reason, "quarantined_at": now, "sidecar": None, "patient": None, "measures": None}
    take(connection, [Step(upload.id, State.QUARANTINED, f"{refusal.reason}: {refusal.note}", values)], actor, now)
    unremember(connection, [upload.id])
    copies = [upload.stored_key, *objects_of(upload.quarantine_key)] if upload.quarantine_key else [upload.stored_key]
    gone = [Removal(upload.id, key) for key in (sidecar, *copies) if key]
    removals.ask(connection, [Removal(upload.id, upload.key, upload.sent_sha256 or upload.sha256), *gone])
