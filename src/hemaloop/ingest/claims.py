"""Who works on which upload: claims with a lease, so that a dead run holds nothing for long."""

import fcntl
import logging
import os
import socket
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import Connection, and_, or_, select

from hemaloop.ingest.ledger import Ledger, Step, read_uploads, selected, take
from hemaloop.ingest.records import Upload
from hemaloop.ingest.schema import uploads
from hemaloop.ingest.states import State

log = logging.getLogger(__name__)


@contextmanager
def claimant(ledger: Ledger, folder: Path) -> Iterator[str]:
    """A name to claim under; what it has not settled when the block ends, others may take.

    Its lock file in `folder` is held by the kernel for as long as this process lives: what a killed run on this
    machine had claimed is given back here, without waiting for its lease.
    """
    folder.mkdir(parents=True, exist_ok=True)
    free_dead_claims(ledger, folder, datetime.now(UTC))
    path = folder / f"{socket.gethostname()}-{uuid.uuid4().hex[:12]}"
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
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
    free = or_(
        uploads.c.state == State.DISCOVERED,
        and_(uploads.c.state == State.CLAIMED, uploads.c.lease_until < now),
    )
    query = select(uploads.c.id).where(uploads.c.bucket == bucket, free).order_by(uploads.c.key, uploads.c.id)
    with ledger.reading() as connection:  # most runs find nothing, and should not wait for a writer
        if connection.execute(query.limit(1)).first() is None:
            return ()
    values = {"claimed_by": owner, "lease_until": now + timedelta(seconds=lease_seconds)}
    with ledger.writing() as connection:
        ids = list(connection.execute(query.limit(limit)).scalars())
        take(connection, [Step(id_, State.CLAIMED, values=values) for id_ in ids], owner, now)
        return tuple(held(connection, owner))


def give_back(ledger: Ledger, owner: str, now: datetime, note: str) -> int:
    """Let others take what `owner` has claimed and not settled."""
    with ledger.reading() as connection:
        if not held(connection, owner):
            return 0
    with ledger.writing() as connection:
        mine = held(connection, owner)
        values = {"claimed_by": None, "lease_until": None}
        take(connection, [Step(upload.id, State.DISCOVERED, note, values) for upload in mine], owner, now)
    log.info("%d claims of %s given back: %s", len(mine), owner, note)
    return len(mine)


def held(connection: Connection, owner: str) -> list[Upload]:
    """What `owner` still holds: another run may have taken it over when the lease ended."""
    query = selected().where(uploads.c.claimed_by == owner, uploads.c.state == State.CLAIMED)
    return read_uploads(connection, query.order_by(uploads.c.key, uploads.c.id))


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
