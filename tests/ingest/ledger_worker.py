"""One of several ingest workers on one ledger; it may be told to die at one of its commits.

    python ledger_worker.py LEDGER BUCKET CLAIMS [COMMIT [before|after]]

Claims, settles, seals and versions until there is nothing left to do. What an upload shows follows from its name, so
that every worker finds the same.
"""

import os
import signal
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import sqlalchemy
from ledger_site import measured_as

from hemaloop.ingest.claims import claim, claimant
from hemaloop.ingest.ledger import Ledger
from hemaloop.ingest.records import Upload
from hemaloop.ingest.rules import Refusal
from hemaloop.ingest.sealing import claim_batch, mark_versioned, seal
from hemaloop.ingest.settle import settle
from hemaloop.storage import Bucket

LEASE_SECONDS = 30  # longer than the test: who lives keeps what it has, and what the dead had is given back


def work(url: str, bucket_url: str, claims: Path) -> None:
    ledger, bucket = Ledger(url), Bucket(bucket_url)
    with claimant(ledger, claims, LEASE_SECONDS) as owner:
        while claimed := claim(ledger, bucket.url, owner, 5, LEASE_SECONDS, now()):
            measured = [measured_as(upload.id, upload.key, shown(upload)) for upload in claimed]
            refused = {upload.id: Refusal("too_dark") for upload in claimed if shown(upload) % 7 == 0}
            settle(ledger, bucket, measured, refused, owner, 6, now())
            version_all(ledger, owner)
        version_all(ledger, owner)


def version_all(ledger: Ledger, owner: str) -> None:
    """Versioning an original frees its links: they are sealed then."""
    while seal(ledger, 4, content_name, owner, now()) or version_one(ledger, owner):
        pass


def version_one(ledger: Ledger, owner: str) -> bool:
    batch = claim_batch(ledger, owner, LEASE_SECONDS, now())
    if batch is not None:
        mark_versioned(ledger, batch, f"commit of {batch.id}", owner, now())
    return batch is not None


def shown(upload: Upload) -> int:
    """The picture of an upload: some show the same."""
    return int(Path(upload.key).stem.removeprefix("c")) // 2 * 2 + 1


def content_name(images: Sequence[Upload], links: Sequence[Upload]) -> str:
    return " ".join([*(str(image.id) for image in images), *(f"link-{link.id}" for link in links)])


def now() -> datetime:
    return datetime.now(UTC)


def die_at(number: int, after: bool) -> None:
    """Kill this process (SIGKILL) before or after its commit of that number."""
    commit, count = sqlalchemy.Connection.commit, iter(range(1, 1_000_000))

    def counted(connection: sqlalchemy.Connection) -> None:
        last = next(count) == number
        if last and not after:
            os.kill(os.getpid(), signal.SIGKILL)
        commit(connection)
        if last:
            os.kill(os.getpid(), signal.SIGKILL)

    sqlalchemy.Connection.commit = counted  # type: ignore[method-assign]


if __name__ == "__main__":
    if sys.argv[4:]:
        die_at(int(sys.argv[4]), sys.argv[5] == "after")
    work(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
