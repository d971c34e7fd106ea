"""Who works on which upload: claims with a lease, so that a dead run holds nothing for long."""

import fcntl
import logging
import os
import socket
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TextIO

from sqlalchemy import Connection, select
from sqlalchemy import update as sql_update

from hemaloop.errors import TransientError
from hemaloop.ingest.ledger import Ledger, Step, read_by_id, read_uploads, selected, take
from hemaloop.ingest.records import Upload
from hemaloop.ingest.schema import batches, uploads
from hemaloop.ingest.states import State

log = logging.getLogger(__name__)


@contextmanager
def claimant(ledger: Ledger, folder: Path, lease_seconds: float | None = None) -> Iterator[str]:
    """A name to claim under; what it has not settled when the block ends, others may take.

    Its lock file in `folder` is held by the kernel for as long as this process lives: what a killed run on this
    machine had claimed is given back here, without waiting for its lease.

    Args:
        lease_seconds: renew the leases in the meantime, however long the block runs; None leaves that to the caller.
    """
    folder.mkdir(parents=True, exist_ok=True)
    free_dead_claims(ledger, folder, datetime.now(UTC))
    path = folder / f"{socket.gethostname()}-{uuid.uuid4().hex[:12]}"
    with _locked(path):
        try:
            with heartbeat(ledger, path.name, lease_seconds) if lease_seconds else nullcontext():
                yield path.name
        finally:
            give_back(ledger, path.name, datetime.now(UTC), "the run that had claimed it ended early")
            path.unlink(missing_ok=True)


def free_dead_claims(ledger: Ledger, folder: Path, now: datetime) -> int:
    """Give back what runs on this machine had claimed when they were killed: no waiting for their leases."""
    freed = 0
    for path in sorted(folder.glob("*")) if folder.is_dir() else []:
        handle = _lock_if_free(path)
        if handle is None:
            continue
        try:
            freed += give_back(ledger, path.name, now, "the run that had claimed it died")
            path.unlink(missing_ok=True)
        finally:
            os.close(handle)
    return freed


def claim(ledger: Ledger, bucket: str, owner: str, limit: int, lease_seconds: int, now: datetime) -> tuple[Upload, ...]:
    """Claim at most `limit` uploads, in order of keys: new ones, and those whose lease has ended."""
    with ledger.reading() as connection:  # most runs find nothing, and should not wait for a writer
        if not _free(connection, bucket, 1, now):
            return ()
    values = {"claimed_by": owner, "lease_until": now + timedelta(seconds=lease_seconds)}
    with ledger.writing() as connection:
        ids = _free(connection, bucket, limit, now)
        take(connection, [Step(id_, State.CLAIMED, values=values) for id_ in ids], owner, now)
        return tuple(read_by_id(connection, ids))


def renew(ledger: Ledger, owner: str, lease_seconds: float, now: datetime) -> int:
    """Begin the leases of `owner` anew: how many uploads and batches it still holds.

    What another took over when its lease had ended stays with the other.
    """
    with ledger.reading() as connection:  # as in `claim`
        if not held_ids(connection, owner) and not _held_batches(connection, owner):
            return 0
    until = {"lease_until": now + timedelta(seconds=lease_seconds)}
    with ledger.writing() as connection:
        mine = sql_update(uploads).where(uploads.c.claimed_by == owner, uploads.c.state == State.CLAIMED)
        renewed = connection.execute(mine.values(until)).rowcount
        renewed += connection.execute(sql_update(batches).where(batches.c.claimed_by == owner).values(until)).rowcount
    return renewed


@contextmanager
def heartbeat(ledger: Ledger, owner: str, lease_seconds: float) -> Iterator[None]:
    """Renew the leases of `owner` three times in each, in a thread, for as long as the block runs."""
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(lease_seconds / 3):
            try:
                renew(ledger, owner, lease_seconds, datetime.now(UTC))
            except TransientError as error:  # the next beat may reach it; if none does, others take over
                log.warning("the leases of %s were not renewed: %s", owner, error)

    thread = threading.Thread(target=beat, name=f"heartbeat of {owner}", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def give_back(ledger: Ledger, owner: str, now: datetime, note: str) -> int:
    """Let others take what `owner` has claimed and not settled, and the batches it has not versioned."""
    with ledger.reading() as connection:
        if not held_ids(connection, owner) and not _held_batches(connection, owner):
            return 0
    free: dict[str, None] = {"claimed_by": None, "lease_until": None}
    with ledger.writing() as connection:
        mine = sorted(held_ids(connection, owner))
        take(connection, [Step(id_, State.DISCOVERED, note, free) for id_ in mine], owner, now)
        of_owner = sql_update(batches).where(batches.c.claimed_by == owner)
        freed = connection.execute(of_owner.values(free)).rowcount
    log.info("%d uploads and %d batches of %s given back: %s", len(mine), freed, owner, note)
    return len(mine) + freed


def held(connection: Connection, owner: str) -> list[Upload]:
    """What `owner` still holds: another run may have taken it over when the lease ended."""
    query = selected().where(uploads.c.claimed_by == owner, uploads.c.state == State.CLAIMED)
    return read_uploads(connection, query.order_by(uploads.c.key, uploads.c.id))


def held_ids(connection: Connection, owner: str) -> set[int]:
    """The ids of those."""
    query = select(uploads.c.id).where(uploads.c.claimed_by == owner, uploads.c.state == State.CLAIMED)
    return set(connection.execute(query).scalars())


def _free(connection: Connection, bucket: str, limit: int, now: datetime) -> list[int]:
    """The first `limit` uploads, in order of keys, that anybody may claim."""
    # Two queries, each along the index by state: with OR, SQLite would read every row of the bucket.
    of_bucket = select(uploads.c.key, uploads.c.id).where(uploads.c.bucket == bucket, uploads.c.batch.is_(None))
    ordered = of_bucket.order_by(uploads.c.key, uploads.c.id).limit(limit)
    new = connection.execute(ordered.where(uploads.c.state == State.DISCOVERED)).all()
    left = connection.execute(ordered.where(uploads.c.state == State.CLAIMED, uploads.c.lease_until < now)).all()
    return [row.id for row in sorted([*new, *left])[:limit]]


def _held_batches(connection: Connection, owner: str) -> list[str]:
    return list(connection.execute(select(batches.c.id).where(batches.c.claimed_by == owner)).scalars())


def _locked(path: Path) -> TextIO:
    """Make a locked file, there for others to see as long as it is open."""
    while True:
        handle = path.open("w")
        fcntl.flock(handle, fcntl.LOCK_EX)
        if path.exists():
            return handle
        handle.close()  # between the two calls, another run took us for dead


def _lock_if_free(path: Path) -> int | None:
    """A locked file handle, unless a living process holds the lock."""
    try:
        handle = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    return handle
