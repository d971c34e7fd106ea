"""Withdrawn consent: the bucket, and this machine's pages, without a person's uploads."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path

from sqlalchemy import delete, select

from hemaloop.ingest import removals
from hemaloop.ingest.forgetting import Whose, bury
from hemaloop.ingest.ledger import Ledger, chunks
from hemaloop.ingest.privacy import stripped_key
from hemaloop.ingest.quarantine import objects_of
from hemaloop.ingest.records import Upload
from hemaloop.ingest.schema import answers, uploads
from hemaloop.protocol.keys import DOCS, UPLOADS, sidecar_key
from hemaloop.storage import Bucket


def remove_objects(
    ledger: Ledger, bucket: Bucket, whose: Whose, found: Sequence[Upload], person: str, reason: str, now: datetime
) -> dict[str, int]:
    """Delete everything that the bucket has of these uploads; how many objects of each prefix there were."""
    removals.carry_out(ledger, bucket)
    removed: Counter[str] = Counter()
    replaced = _replaced(ledger, found)
    for chunk in chunks(found, 64):
        images = {key for upload in chunk for key in _image_keys(upload) if key not in replaced}
        contents = {key: data for key, data in bucket.read_many(sorted(images)).items() if data is not None}
        bury(ledger, whose, (hashlib.sha256(data).hexdigest() for data in contents.values()), person, reason, now)
        beside = {key for upload in chunk for key in _keys_beside(upload, replaced) if bucket.exists(key)}
        for key in sorted((*contents, *beside)):
            bucket.delete(key)
            removed[key.partition("/")[0] + "/"] += 1
    return dict(removed)


def remove_pages(bucket: Bucket, local: Path, found: Sequence[Upload]) -> int:
    """Delete the pages of Data Docs, in the bucket and in `local`, that name one of these uploads."""
    words = {word.encode() for upload in found for word in (upload.key, upload.sha256) if word}
    removed = 0
    for stored in bucket.list(DOCS) if words else ():
        if stored.key.endswith((".html", ".json")) and _says(bucket.read(stored.key), words):
            bucket.delete(stored.key)
            removed += 1
    for path in sorted(local.rglob("*")) if words else ():
        if path.suffix in (".html", ".json") and _says(path.read_bytes(), words):
            path.unlink()
            removed += 1
    return removed


def remove_answers(ledger: Ledger, bucket: Bucket, found: Sequence[Upload]) -> int:
    """Forget what devices answered to these uploads: the rows, and the reports in the bucket, which are added up."""
    removed = 0
    for chunk in chunks([upload.key for upload in found]):
        about_them = answers.c.key.in_(chunk)
        with ledger.reading() as connection:
            told = sorted(set(connection.scalars(select(answers.c.report).where(about_them))))
        for key in told:
            bucket.delete(key)
        with ledger.writing() as connection:
            connection.execute(delete(answers).where(about_them))
        removed += len(told)
    return removed


def _replaced(ledger: Ledger, found: Sequence[Upload]) -> set[str]:
    """Keys under which a later upload lies, of somebody else."""
    newest: dict[str, int] = {}
    with ledger.reading() as connection:
        for chunk in chunks([upload.key for upload in found]):
            query = select(uploads.c.key, uploads.c.id).where(uploads.c.key.in_(chunk)).order_by(uploads.c.id)
            newest |= {row.key: row.id for row in connection.execute(query)}
    ours = {upload.id for upload in found}
    return {key for key, id_ in newest.items() if id_ not in ours}


def _image_keys(upload: Upload) -> list[str]:
    stripped = [stripped_key(upload.key, upload.sha256)] if upload.sha256 else []
    others = [key for key in (upload.stored_key, upload.quarantine_key) if key]
    return [upload.key, *stripped, *others]


def _keys_beside(upload: Upload, replaced: Iterable[str]) -> list[str]:
    beside = [*objects_of(upload.quarantine_key)[1:]] if upload.quarantine_key else []
    if upload.key.startswith(UPLOADS) and upload.key not in replaced:
        beside.append(sidecar_key(upload.key))
    return beside


def _says(data: bytes, words: Iterable[bytes]) -> bool:
    return any(word in data for word in words)
