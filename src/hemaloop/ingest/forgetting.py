"""Withdrawn consent: which uploads are a person's, and the ledger without them.

Tombstones come first: from then on nothing of it is let in again. The rows are cleared last: until then they say what
is still to be removed, to whoever goes on with it.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, delete, insert, or_, select
from sqlalchemy import update as sql_update

from hemaloop.errors import DataError, TransientError
from hemaloop.ingest.consent import IMAGE, PATIENT
from hemaloop.ingest.ledger import Ledger, Step, chunks, read_by_id, record, take
from hemaloop.ingest.records import Upload
from hemaloop.ingest.rules import CONSENT_WITHDRAWN
from hemaloop.ingest.schema import batches, fingerprints, history, tombstones, uploads
from hemaloop.ingest.states import State
from hemaloop.protocol.documents import decode
from hemaloop.protocol.sidecar import Sidecar

NOTE = "forgotten: consent was withdrawn"


@dataclass(frozen=True)
class Whose:
    """Whose uploads are to be forgotten: a patient's, or those of certain keys."""

    patient: str | None = None
    keys: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"patient {self.patient}" if self.patient else f"{len(self.keys)} uploads"


@dataclass(frozen=True)
class Found:
    uploads: tuple[Upload, ...]
    doubtful: tuple[str, ...]  # keys that may be the person's too, but name somebody else, or a slide of several


@dataclass(frozen=True)
class Moved:
    """What is left of a batch is in another one."""

    old: str
    new: str | None
    revision: str
    images: int  # in the new batch


def find(ledger: Ledger, whose: Whose) -> Found:
    """All uploads of a person that the ledger has not cleared yet.

    A patient's are those that name the patient; those of the patient's slides that name no patient; those with the
    same bytes, whatever they name; and near-duplicates of any of them, either way, that name nobody else.
    """
    with ledger.reading() as connection:
        ids = _named(connection, whose)
        slides, shared = _slides(connection, ids, whose.patient)
        ids |= _on_slides(connection, slides)
        doubtful = _on_slides(connection, shared) - ids
        while more := _same_pictures(connection, ids) - ids - doubtful:
            theirs = {
                upload.id
                for upload in read_by_id(connection, sorted(more))
                if upload.patient in (None, whose.patient) or _has_bytes_of(connection, upload, ids)
            }
            ids |= theirs
            doubtful |= more - theirs
        found = tuple(read_by_id(connection, sorted(ids)))
        return Found(found, tuple(upload.key for upload in read_by_id(connection, sorted(doubtful))))


def bury(ledger: Ledger, whose: Whose, images: Iterable[str], person: str, reason: str, now: datetime) -> None:
    """Let nothing of it in again. Args: images: SHA-256 of bytes."""
    wanted = {(IMAGE, sha256) for sha256 in images}
    if whose.patient:
        wanted.add((PATIENT, hashlib.sha256(whose.patient.encode()).hexdigest()))
    with ledger.writing() as connection:
        known = {(kind, sha256) for kind, sha256 in connection.execute(select(tombstones.c.kind, tombstones.c.sha256))}
        rows = [
            {"kind": kind, "sha256": sha256, "at": now, "actor": person, "reason": reason}
            for kind, sha256 in sorted(wanted - known)
        ]
        if rows:
            connection.execute(insert(tombstones), rows)


def buried_images(ledger: Ledger) -> frozenset[str]:
    """SHA-256 of all images that were ever forgotten."""
    with ledger.reading() as connection:
        query = select(tombstones.c.sha256).where(tombstones.c.kind == IMAGE)
        return frozenset(connection.execute(query).scalars())


def withhold(ledger: Ledger, ids: Sequence[int], person: str, now: datetime) -> None:
    """Let none of these be sealed or versioned any more: open the batches that hold some and are in no revision.

    The others of such a batch are sealed anew by the next ingest.

    Raises:
        TransientError: a run is versioning one of the batches.
    """
    with ledger.writing() as connection:
        for row in _unversioned_of(connection, ids):
            if row.claimed_by is not None and row.lease_until > now:
                raise TransientError(f"batch {row.id} is being versioned until {row.lease_until}: try again then")
            inside = _inside(connection, row.id)
            connection.execute(sql_update(uploads).where(uploads.c.batch == row.id).values(batch=None))
            note = f"batch {row.id} was opened: images of it were forgotten"
            record(connection, [(id_, state, note) for id_, state in inside], person, now)
            connection.execute(delete(batches).where(batches.c.id == row.id))
        accepted = [upload.id for upload in read_by_id(connection, ids) if upload.state is State.ACCEPTED]
        refused = {"reason": CONSENT_WITHDRAWN, "quarantined_at": now}
        take(connection, [Step(id_, State.QUARANTINED, CONSENT_WITHDRAWN, refused) for id_ in accepted], person, now)


def unversioned_batches(ledger: Ledger, ids: Sequence[int]) -> tuple[str, ...]:
    """The batches in no revision, as far as the ledger knows, that hold some of these."""
    with ledger.reading() as connection:
        return tuple(row.id for row in _unversioned_of(connection, ids))


def clear(ledger: Ledger, found: Sequence[Upload], moved: Sequence[Moved], person: str, now: datetime) -> None:
    """Empty the rows of what was forgotten, and say in which batches the others are now. All of it, or nothing.

    Raises:
        TransientError: one was sealed since it was read.
    """
    ids = [upload.id for upload in found]
    with ledger.writing() as connection:
        if [(each.state, each.batch) for each in read_by_id(connection, ids)] != [(u.state, u.batch) for u in found]:
            raise TransientError("the uploads to forget have changed since they were read: run it again")
        # Each row is its own: a key must stay the only one of its kind.
        steps = [Step(id_, State.FORGOTTEN, NOTE, _emptied(id_)) for id_ in ids]
        for chunk in chunks(ids):
            connection.execute(sql_update(history).where(history.c.upload.in_(chunk)).values(note=""))
            connection.execute(sql_update(uploads).where(uploads.c.original.in_(chunk)).values(original=None))
            connection.execute(delete(fingerprints).where(fingerprints.c.upload.in_(chunk)))
        take(connection, steps, person, now, by_person=True)
        for each in moved:
            _move(connection, each, person, now)


def scrub(ledger: Ledger) -> None:
    """Let nothing of what was cleared stay behind in the database's own file; PostgreSQL sees to its own."""
    with ledger.reading() as connection:
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql("VACUUM")
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")


def _emptied(id_: int) -> dict[str, object]:
    """Every column that may be empty is. Key and ETag too: the same object may come again, to be refused."""
    empty = {column.name: None for column in uploads.columns if column.nullable}
    return {**empty, "key": f"forgotten/{id_}", "etag": "", "reason": ""}


def _move(connection: Connection, moved: Moved, person: str, now: datetime) -> None:
    known = connection.execute(select(batches).where(batches.c.id == moved.old)).first()
    if known is None:
        return  # it was moved before
    inside = _inside(connection, moved.old)
    if moved.new is not None and connection.execute(select(batches).where(batches.c.id == moved.new)).first() is None:
        row = {"id": moved.new, "sealed_at": known.sealed_at, "images": moved.images}
        connection.execute(insert(batches).values(**row, revision=moved.revision, versioned_at=now))
    connection.execute(sql_update(uploads).where(uploads.c.batch == moved.old).values(batch=moved.new))
    connection.execute(delete(batches).where(batches.c.id == moved.old))
    note = f"batch {moved.old} became {moved.new or 'nothing'}, in revision {moved.revision}: images were forgotten"
    record(connection, [(id_, state, note) for id_, state in inside], person, now)


def _inside(connection: Connection, batch: str) -> list[tuple[int, State]]:
    query = select(uploads.c.id, uploads.c.state).where(uploads.c.batch == batch)
    return [(row.id, State(row.state)) for row in connection.execute(query)]


def _named(connection: Connection, whose: Whose) -> set[int]:
    if whose.patient is None:
        return _ids(connection, uploads.c.key.in_(whose.keys))
    said = {id_ for id_, sidecar in _sidecars(connection, "patient", whose.patient) if sidecar.patient == whose.patient}
    return said | _ids(connection, uploads.c.patient == whose.patient)


def _slides(connection: Connection, ids: Iterable[int], patient: str | None) -> tuple[set[str], set[str]]:
    """The slides of a patient: those that are nobody else's, and the others."""
    if patient is None:
        return set(), set()
    found = read_by_id(connection, sorted(ids))
    slides = {upload.sidecar.slide for upload in found if upload.sidecar and upload.sidecar.slide}
    shared = {
        slide
        for slide in slides
        for _, sidecar in _sidecars(connection, "slide", slide)
        if sidecar.slide == slide and sidecar.patient not in (None, patient)
    }
    return slides - shared, shared


def _on_slides(connection: Connection, slides: Iterable[str]) -> set[int]:
    """Uploads of these slides that name no patient."""
    return {
        id_
        for slide in slides
        for id_, sidecar in _sidecars(connection, "slide", slide)
        if sidecar.slide == slide and sidecar.patient is None
    }


def _sidecars(connection: Connection, name: str, value: str) -> list[tuple[int, Sidecar]]:
    """Uploads whose sidecar may say that; SQL's `_` is any letter, so it is read to be sure."""
    text = f"%{json.dumps(name)}:{json.dumps(value)}%"  # as protocol.documents writes it
    query = select(uploads.c.id, uploads.c.sidecar).where(uploads.c.sidecar.like(text))
    return [(id_, decode(sidecar.encode(), Sidecar)) for id_, sidecar in connection.execute(query)]


def _same_pictures(connection: Connection, ids: Iterable[int]) -> set[int]:
    """Uploads with the bytes of one of these, or refused as a duplicate of one, or that one was a duplicate of."""
    found: set[int] = set()
    for chunk in chunks(sorted(ids)):
        hashes = select(uploads.c.sha256).where(uploads.c.id.in_(chunk), uploads.c.sha256.is_not(None))
        originals = select(uploads.c.original).where(uploads.c.id.in_(chunk), uploads.c.original.is_not(None))
        same = or_(uploads.c.original.in_(chunk), uploads.c.sha256.in_(hashes), uploads.c.id.in_(originals))
        found |= _ids(connection, same)
    return found


def _has_bytes_of(connection: Connection, upload: Upload, ids: Iterable[int]) -> bool:
    return bool(_ids(connection, (uploads.c.sha256 == upload.sha256)) & set(ids))


def _ids(connection: Connection, which: ColumnElement[bool]) -> set[int]:
    query = select(uploads.c.id).where(which, uploads.c.state != State.FORGOTTEN)
    return set(connection.execute(query).scalars())


def _unversioned_of(connection: Connection, ids: Sequence[int]) -> list[Row[Any]]:
    found: dict[str, Row[Any]] = {}
    for chunk in chunks(ids):
        inside = select(uploads.c.batch).where(uploads.c.id.in_(chunk))
        query = select(batches).where(batches.c.revision.is_(None), batches.c.id.in_(inside))
        found |= {row.id: row for row in connection.execute(query)}
    return [found[id_] for id_ in sorted(found)]


def check(person: str, reason: str) -> None:
    """Raises: DataError: nobody is named, or no reason."""
    if not person.strip() or not reason.strip():
        raise DataError("forgetting needs a person's name and a reason: they are kept with the tombstones")


def states(found: Sequence[Upload]) -> Mapping[str, int]:
    """How many uploads are in each state."""
    return Counter(str(upload.state) for upload in found)
