"""Objects that are to leave the bucket: noted with the change of state that asks for it, deleted after that.

Killed between the two, or with the bucket away, the next run deletes them.
"""

import hashlib
import logging
from collections.abc import Iterable
from dataclasses import asdict, dataclass

from sqlalchemy import Connection, bindparam, delete, insert, select

from hemaloop.ingest.ledger import Ledger
from hemaloop.ingest.schema import removals, uploads
from hemaloop.storage import Bucket

log = logging.getLogger(__name__)

_AT_ONCE = 64  # objects in memory


@dataclass(frozen=True)
class Removal:
    upload: int
    key: str
    sha256: str | None = None  # of what is to go: other content under that key stays; None: whatever is there goes


def ask(connection: Connection, asked: Iterable[Removal]) -> None:
    """Note what is to be deleted once this transaction holds."""
    if rows := [asdict(removal) for removal in asked]:
        connection.execute(insert(removals), rows)


def carry_out(ledger: Ledger, bucket: Bucket) -> int:
    """Delete everything that is noted for this bucket; how many keys are done with. Again, it deletes nothing more."""
    query = select(removals).join(uploads, uploads.c.id == removals.c.upload).where(uploads.c.bucket == bucket.url)
    done = 0
    while True:
        with ledger.reading() as connection:
            asked = [Removal(**row._mapping) for row in connection.execute(query.limit(_AT_ONCE))]
        if not asked:
            return done
        _delete(bucket, asked)
        with ledger.writing() as connection:
            this = (removals.c.upload == bindparam("of")) & (removals.c.key == bindparam("at"))
            connection.execute(delete(removals).where(this), [{"of": each.upload, "at": each.key} for each in asked])
        done += len(asked)


def _delete(bucket: Bucket, asked: list[Removal]) -> None:
    checked = bucket.read_many([removal.key for removal in asked if removal.sha256 is not None])
    for removal in asked:
        data = checked.get(removal.key)
        if removal.sha256 is None or (data is not None and hashlib.sha256(data).hexdigest() == removal.sha256):
            bucket.delete(removal.key)
            log.info("%s deleted", removal.key)
