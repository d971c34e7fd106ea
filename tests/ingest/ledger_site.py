"""A ledger and a bucket on a folder, and uploads that were measured without being images."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import select

from hemaloop.imaging.measure import Measures
from hemaloop.ingest.ledger import Ledger, enter
from hemaloop.ingest.measuring import Measured
from hemaloop.ingest.schema import uploads
from hemaloop.ingest.states import State
from hemaloop.protocol.keys import UploadKey
from hemaloop.storage import Bucket

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
LATER = NOW.replace(year=2126)  # whenever these tests run, what they write is older
MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None  # a hundred ledgers need no disk


@contextmanager
def small_site(images: int, url: str | None = None) -> Iterator[tuple[Ledger, Bucket]]:
    """A ledger that knows the `images` uploads, without sidecars, of a bucket on a folder.

    Args:
        url: of an empty ledger; None makes one on SQLite.
    """
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        bucket = Bucket(f"file://{folder}/bucket")
        bucket.create()
        for number in range(images):
            bucket.write(str(UploadKey("pi-1", NOW.date(), f"c{number}")), f"content {number}".encode())
        ledger = Ledger(url or f"sqlite:///{folder}/ledger.db")
        enter_all(ledger, bucket)
        yield ledger, bucket


def enter_all(ledger: Ledger, bucket: Bucket) -> int:
    """Enter what is in the bucket and new; how many."""
    with ledger.writing() as connection:
        return enter(connection, bucket.url, list(bucket.list("uploads/")), "watch", LATER, {})


def measured_as(upload: int, key: str, picture: int, phash: str | None = None) -> Measured:
    """As if the upload showed picture number `picture`."""
    sha256 = f"{picture:064x}"
    spread = phash or f"{(picture * 0x9E3779B97F4A7C15) % 2**64:016x}"
    return Measured(upload, key, 10, measures=Measures(10, sha256, "jpeg", "", 200, 200, 3, phash=spread))


def everything(ledger: Ledger) -> dict[str, State]:
    """The state of each object that the ledger knows; of one that was replaced, the last one's."""
    query = select(uploads.c.key, uploads.c.state).order_by(uploads.c.id)
    with ledger.reading() as connection:
        return {key: State(state) for key, state in connection.execute(query)}
