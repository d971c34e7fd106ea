"""Seal accepted uploads as batches, note the revision that each is in, or open one again. Several runs may at once."""

import logging
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, delete, insert, literal, or_, select
from sqlalchemy import update as sql_update

from hemaloop.errors import HemaloopError
from hemaloop.ingest.duplicates import unremember
from hemaloop.ingest.ledger import Ledger, Step, chunks, read_by_id, read_uploads, record, selected, set_columns, take
from hemaloop.ingest.records import SealedBatch, Upload
from hemaloop.ingest.rules import VANISHED
from hemaloop.ingest.schema import UtcTime, batches, history, uploads
from hemaloop.ingest.states import State

log = logging.getLogger(__name__)

Identify = Callable[[Sequence[Upload], Sequence[Upload]], str]  # images, links -> the batch's id


def seal(ledger: Ledger, limit: int, identify: Identify, actor: str, now: datetime) -> str | None:
    """Seal at most `limit` accepted uploads and as many links as one batch; None when there are none left.

    A duplicate goes with its original, or as a link once its original is in a revision: so a batch needs no other
    that is in none yet, and any order of versioning is right. Without new images, links make a batch of their own.
    """
    with ledger.reading() as connection:
        if not _accepted(connection, 1) and not _loose_links(connection, 1, ()):
            return None
    with ledger.writing() as connection:
        accepted = _accepted(connection, limit)
        images = read_by_id(connection, accepted, measures=False)
        links = read_by_id(connection, _loose_links(connection, limit, accepted), measures=False)
        if not images and not links:
            return None
        id_ = identify(images, links)
        if not images and _said_already(connection, id_):
            return _join_said(connection, id_, links, actor, now)
        connection.execute(insert(batches).values(id=id_, sealed_at=now, images=len(images)))
        _put_in(connection, id_, (*images, *links), f"sealed in batch {id_}", actor, now)
    log.info("batch %s sealed: %d images, %d links", id_, len(images), len(links))
    return id_


def unversioned(ledger: Ledger) -> Iterator[SealedBatch]:
    """Sealed batches that are in no revision yet, oldest first, read one at a time."""
    with ledger.reading() as connection:
        ids = connection.execute(_unversioned()).scalars().all()
    for id_ in ids:
        yield _read(ledger, id_)


def claim_batch(ledger: Ledger, owner: str, lease_seconds: float, now: datetime) -> SealedBatch | None:
    """The oldest batch that is in no revision and that nobody holds; `owner` holds it from now on.

    `claims.renew` keeps it, `claims.give_back` lets another have it, `mark_versioned` and `dissolve` end it.
    """
    query = _unversioned().where(_free(now)).limit(1)
    with ledger.reading() as connection:  # most runs find none, and should not wait for a writer
        if connection.execute(query).first() is None:
            return None
    with ledger.writing() as connection:
        id_ = connection.execute(query).scalar()
        if id_ is None:
            return None
        values = {"claimed_by": owner, "lease_until": now + timedelta(seconds=lease_seconds)}
        connection.execute(sql_update(batches).where(batches.c.id == id_).values(values))
    return _read(ledger, id_)


def mark_versioned(ledger: Ledger, batch: SealedBatch, revision: str, actor: str, now: datetime) -> None:
    """The batch is in git commit `revision`, pushed: its uploads have arrived. Again, nothing changes.

    Raises:
        HemaloopError: there is no such batch: another run has dissolved it.
    """
    arrived = {"revision": revision, "versioned_at": now, "claimed_by": None, "lease_until": None}
    first_time = sql_update(batches).where(batches.c.id == batch.id, batches.c.revision.is_(None)).values(arrived)
    with ledger.writing() as connection:
        if connection.execute(first_time).rowcount == 0:
            if connection.execute(select(batches.c.id).where(batches.c.id == batch.id)).first() is None:
                raise HemaloopError(
                    f"batch {batch.id} was dissolved while revision {revision} was made of it: revert that commit"
                )
            return  # another run was quicker; it found the same commit
        images = (uploads.c.batch == batch.id) & (uploads.c.state == State.ACCEPTED)
        links = (uploads.c.batch == batch.id) & (uploads.c.state == State.DUPLICATE)
        _note_all(connection, images, State.VERSIONED, f"in revision {revision}", actor, now)
        _note_all(connection, links, State.DUPLICATE, f"its link is in revision {revision}", actor, now)
        connection.execute(sql_update(uploads).where(images).values(state=State.VERSIONED))
    log.info("batch %s is in revision %s", batch.id, revision)


def dissolve(ledger: Ledger, batch_id: str, missing: Sequence[int], actor: str, now: datetime) -> int:
    """Open a batch that cannot be versioned, because the bytes of `missing` uploads are nowhere to be had.

    The missing ones go to quarantine as vanished, and are no original for anything any more: what was a duplicate of
    one is discovered anew, for its own bytes may take the place. The others of the batch will be sealed again.

    Returns:
        How many went to quarantine; 0 if the batch is versioned, dissolved, or held by a run other than `actor`.
    """
    with ledger.writing() as connection:
        if not _may_dissolve(connection, batch_id, actor, now):
            log.info("batch %s is left as it is: it is another run's, or done", batch_id)
            return 0
        gone = _images(connection, batch_id, missing)
        _release(connection, batch_id, len(gone), actor, now)
        _quarantine(connection, gone, batch_id, actor, now)
        found_anew = _look_again(connection, gone, actor, now)
        unremember(connection, gone)
        connection.execute(delete(batches).where(batches.c.id == batch_id))
    log.warning(
        "batch %s dissolved: %d images vanished, %d duplicates looked at again", batch_id, len(gone), found_anew
    )
    return len(gone)


def _unversioned() -> Select[tuple[str]]:
    return select(batches.c.id).where(batches.c.revision.is_(None)).order_by(batches.c.sealed_at, batches.c.id)


def _free(now: datetime) -> ColumnElement[bool]:
    return or_(batches.c.claimed_by.is_(None), batches.c.lease_until < now)


def _accepted(connection: Connection, limit: int) -> list[int]:
    query = select(uploads.c.id).where(uploads.c.state == State.ACCEPTED, uploads.c.batch.is_(None))
    return list(connection.execute(query.order_by(uploads.c.key, uploads.c.id).limit(limit)).scalars())


def _loose_links(connection: Connection, limit: int, sealed_now: Sequence[int]) -> list[int]:
    """Duplicates in no batch whose original is in a revision, or among those `sealed_now`."""
    original = uploads.alias("its_original")
    loose = (
        select(uploads.c.id)
        .join(original, uploads.c.original == original.c.id)
        .where(uploads.c.state == State.DUPLICATE, uploads.c.batch.is_(None))
        .order_by(uploads.c.key, uploads.c.id)
        .limit(limit)
    )
    found = list(connection.execute(loose.where(original.c.state == State.VERSIONED)).scalars())
    for chunk in chunks(sealed_now):
        found += connection.execute(loose.where(original.c.id.in_(chunk))).scalars()
    return found[:limit]


def _said_already(connection: Connection, id_: str) -> bool:
    """Whether a batch of the same links is there: the same capture of a device, uploaded again and again."""
    return connection.execute(select(batches.c.id).where(batches.c.id == id_)).first() is not None


def _join_said(connection: Connection, id_: str, links: Sequence[Upload], actor: str, now: datetime) -> str | None:
    """Their links are in git once that batch is; until then they wait, for it is sealed."""
    revision = connection.execute(select(batches.c.revision).where(batches.c.id == id_)).scalar()
    if revision is None:
        return None
    _put_in(connection, id_, links, f"the same link is in batch {id_}, revision {revision}", actor, now)
    return id_


def _put_in(connection: Connection, batch: str, found: Sequence[Upload], note: str, actor: str, now: datetime) -> None:
    set_columns(connection, {upload.id: {"batch": batch} for upload in found})
    record(connection, [(upload.id, upload.state, note) for upload in found], actor, now)


def _note_all(
    connection: Connection, which: ColumnElement[bool], state: State, note: str, actor: str, now: datetime
) -> None:
    """A row of history for each upload of a batch."""
    said = (uploads.c.id, literal(now, UtcTime), literal(str(state)), literal(actor), literal(note))
    query = select(*said).where(which).order_by(uploads.c.id)
    connection.execute(insert(history).from_select(["upload", "at", "state", "actor", "note"], query))


def _read(ledger: Ledger, batch: str) -> SealedBatch:
    query = selected(measures=False).where(uploads.c.batch == batch).order_by(uploads.c.key, uploads.c.id)
    with ledger.reading() as connection:
        found = read_uploads(connection, query)
    links = tuple(upload for upload in found if upload.state is State.DUPLICATE)
    images = tuple(upload for upload in found if upload.state is not State.DUPLICATE)
    return SealedBatch(batch, images, links)


def _may_dissolve(connection: Connection, batch_id: str, actor: str, now: datetime) -> bool:
    query = select(batches).where(batches.c.id == batch_id, batches.c.revision.is_(None))
    batch = connection.execute(query).first()
    return batch is not None and (batch.claimed_by in (None, actor) or batch.lease_until < now)


def _images(connection: Connection, batch_id: str, ids: Sequence[int]) -> list[int]:
    """Those of `ids` that are images of the batch."""
    query = select(uploads.c.id).where(uploads.c.batch == batch_id, uploads.c.state == State.ACCEPTED)
    return sorted(set(ids) & set(connection.execute(query).scalars()))


def _release(connection: Connection, batch_id: str, gone: int, actor: str, now: datetime) -> None:
    """Take everything out of the batch."""
    inside = connection.execute(select(uploads.c.id, uploads.c.state).where(uploads.c.batch == batch_id)).all()
    set_columns(connection, {row.id: {"batch": None} for row in inside})
    note = f"batch {batch_id} was dissolved: {gone} of its images vanished"
    record(connection, [(row.id, State(row.state), note) for row in inside], actor, now)


def _quarantine(connection: Connection, gone: Sequence[int], batch_id: str, actor: str, now: datetime) -> None:
    note = f"{VANISHED}: its bytes are neither here nor in the bucket, and batch {batch_id} was to be versioned"
    values = {"reason": VANISHED, "quarantined_at": now}
    take(connection, [Step(id_, State.QUARANTINED, note, values) for id_ in gone], actor, now)


def _look_again(connection: Connection, gone: Sequence[int], actor: str, now: datetime) -> int:
    """Let the duplicates of what vanished be measured anew."""
    values: dict[str, Any] = {"original": None, "reason": "", "batch": None}
    note = "what it was a duplicate of vanished"
    orphans: list[int] = []
    for chunk in chunks(gone):
        query = select(uploads.c.id).where(uploads.c.state == State.DUPLICATE, uploads.c.original.in_(chunk))
        orphans += connection.execute(query.where(uploads.c.batch.is_(None)).order_by(uploads.c.id)).scalars()
    take(connection, [Step(id_, State.DISCOVERED, note, values) for id_ in orphans], actor, now)
    return len(orphans)
