"""Seal accepted uploads as batches, and note the revision that each is in."""

import logging
from collections.abc import Callable, Sequence
from datetime import datetime

from sqlalchemy import Connection, insert, or_, select
from sqlalchemy import update as sql_update

from hemaloop.ingest.ledger import Ledger, Step, chunks, read_uploads, record, selected, take
from hemaloop.ingest.records import SealedBatch, Upload
from hemaloop.ingest.schema import batches, uploads
from hemaloop.ingest.states import State

log = logging.getLogger(__name__)

Identify = Callable[[Sequence[Upload], Sequence[Upload]], str]  # images, links -> the batch's id


def seal(ledger: Ledger, limit: int, identify: Identify, actor: str, now: datetime) -> str | None:
    """Seal at most `limit` accepted uploads as one batch; None when there are none left.

    Duplicates go with the first batch that is sealed after their original was: groups follow from them.
    """
    with ledger.reading() as connection:
        if not _accepted(connection, 1):
            return None
    with ledger.writing() as connection:
        images = _accepted(connection, limit)
        if not images:
            return None
        links = _loose_links(connection, [image.id for image in images])
        id_ = identify(images, links)
        connection.execute(insert(batches).values(id=id_, sealed_at=now, images=len(images)))
        for chunk in chunks([upload.id for upload in (*images, *links)]):
            connection.execute(sql_update(uploads).where(uploads.c.id.in_(chunk)).values(batch=id_))
        rows = [(upload.id, upload.state, f"sealed in batch {id_}") for upload in (*images, *links)]
        record(connection, rows, actor, now)
    log.info("batch %s sealed: %d images, %d links", id_, len(images), len(links))
    return id_


def unversioned(ledger: Ledger) -> tuple[SealedBatch, ...]:
    """Sealed batches that are in no revision yet, oldest first."""
    query = select(batches.c.id).where(batches.c.revision.is_(None)).order_by(batches.c.sealed_at, batches.c.id)
    with ledger.reading() as connection:
        return tuple(_sealed(connection, id_) for id_ in connection.execute(query).scalars().all())


def mark_versioned(ledger: Ledger, batch: SealedBatch, revision: str, actor: str, now: datetime) -> None:
    """The batch is in git commit `revision`, pushed: its uploads have arrived."""
    with ledger.writing() as connection:
        known = select(batches.c.revision).where(batches.c.id == batch.id)
        if connection.execute(known).scalar() is not None:
            return  # another run was quicker; it found the same commit
        values = {"revision": revision, "versioned_at": now}
        connection.execute(sql_update(batches).where(batches.c.id == batch.id).values(values))
        note = f"in revision {revision}"
        take(connection, [Step(image.id, State.VERSIONED, note) for image in batch.images], actor, now)
        record(connection, [(link.id, link.state, f"its link is {note}") for link in batch.links], actor, now)
    log.info("batch %s is in revision %s", batch.id, revision)


def _accepted(connection: Connection, limit: int) -> list[Upload]:
    query = selected().where(uploads.c.state == State.ACCEPTED, uploads.c.batch.is_(None))
    return read_uploads(connection, query.order_by(uploads.c.key, uploads.c.id).limit(limit))


def _loose_links(connection: Connection, sealed_now: Sequence[int]) -> list[Upload]:
    """Duplicates in no batch whose original is in this batch or in an older one."""
    original = uploads.alias("sealed")
    query = (
        selected()
        .join(original, uploads.c.original == original.c.id)
        .where(uploads.c.state == State.DUPLICATE, uploads.c.batch.is_(None))
        .where(or_(original.c.batch.is_not(None), original.c.id.in_(sealed_now)))
    )
    return read_uploads(connection, query.order_by(uploads.c.key, uploads.c.id))


def _sealed(connection: Connection, batch: str) -> SealedBatch:
    query = selected().where(uploads.c.batch == batch).order_by(uploads.c.key, uploads.c.id)
    found = read_uploads(connection, query)
    links = tuple(upload for upload in found if upload.state is State.DUPLICATE)
    images = tuple(upload for upload in found if upload.state is not State.DUPLICATE)
    return SealedBatch(batch, images, links)
