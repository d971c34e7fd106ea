"""The bucket: one URL, s3:// or file://, the same behaviour."""

import logging
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

from hemaloop.files import TEMPORARY
from hemaloop.stores import Fetched, FolderStore, S3Store, Store, folder_etag, translated

log = logging.getLogger(__name__)

READERS = 8  # objects that are read at once
PAGE_KEYS = 1000  # in one answer to LIST: S3 gives no more


@dataclass(frozen=True)
class StoredObject:
    key: str
    size: int  # bytes
    etag: str  # changes when the content does
    modified: datetime


class Bucket:
    """Objects by key. S3's address and key come from the standard AWS_* environment variables.

    Raises (any method):
        ConfigError: the bucket is not there, or refuses our key.
        TransientError: it cannot be reached, or failed on its side.
        FileNotFoundError: there is no object with that key.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._local = url.startswith("file://")
        self._root = url.split("://", 1)[1]
        self._store: Store = FolderStore(Path(self._root)) if self._local else S3Store(self._root)

    def check(self) -> None:
        """Raises: ConfigError: the bucket does not exist or refuses us. TransientError: it is away."""
        self._store.check()

    def create(self) -> None:
        """Create the bucket if it is not there."""
        self._store.create()

    def read(self, key: str) -> bytes:
        """The whole object: what is cut short or damaged on its way is read again, or is a TransientError."""
        return self._store.fetch(key).data

    def fetch(self, key: str) -> Fetched:
        """The whole object, with the ETag of just these bytes."""
        return self._store.fetch(key)

    def read_many(self, keys: Sequence[str]) -> dict[str, bytes | None]:
        """Several objects at once; None for those that are not there (any more)."""
        if not keys:
            return {}
        with ThreadPoolExecutor(min(READERS, len(keys))) as readers:
            return dict(zip(keys, readers.map(self._read_if_there, keys), strict=True))

    def _read_if_there(self, key: str) -> bytes | None:
        try:
            return self.read(key)
        except FileNotFoundError:
            return None

    def write(self, key: str, data: bytes) -> None:
        self._store.write(key, data)

    def exists(self, key: str) -> bool:
        return self._store.exists(key)

    def delete(self, key: str) -> None:
        """Deleting what is not there is no error."""
        try:
            self._store.delete(key)
        except FileNotFoundError:
            log.debug("%s was not there to delete", key)

    def copy(self, source: str, target: str) -> None:
        self._store.copy(source, target)

    def list(self, prefix: str) -> Iterator[StoredObject]:
        """Every object whose key begins with `prefix` (a folder, ending in '/'), in order of keys."""
        for page in self.pages(prefix):
            yield from page

    def pages(self, prefix: str, start_after: str = "") -> Iterator[Sequence[StoredObject]]:
        """Objects whose key begins with `prefix` and comes after `start_after`, in order of keys.

        One LIST request and at most PAGE_KEYS objects a page; a page is forgotten when the next one is asked for.
        What is not there gives one empty page.
        """
        return self._local_pages(prefix, start_after) if self._local else self._s3_pages(prefix, start_after)

    def folders(self, prefix: str) -> Sequence[str]:
        """The folders right below `prefix` ('' or ending in '/'), each ending in '/', in order."""
        if self._local:
            with translated(self._root):
                return [prefix + name for name in _sorted_names(self._path(prefix)) if name.endswith("/")]
        answers = self._s3_answers(prefix, Delimiter="/")
        return [folder["Prefix"] for answer in answers for folder in answer.get("CommonPrefixes", ())]

    def _s3_pages(self, prefix: str, start_after: str) -> Iterator[Sequence[StoredObject]]:
        after = {"StartAfter": start_after} if start_after else {}
        for answer in self._s3_answers(prefix, **after):
            yield [
                StoredObject(found["Key"], found["Size"], found["ETag"].strip('"'), found["LastModified"])
                for found in answer.get("Contents", ())
            ]

    def _s3_answers(self, prefix: str, **options: str) -> Iterator[dict[str, Any]]:
        """Answers to LIST, page after page; botocore repeats a request that failed on the way."""
        assert isinstance(self._store, S3Store)
        while True:
            # Nothing found is an empty answer: a bucket that is not there is an error.
            answer = self._store.list_page(Prefix=prefix, MaxKeys=PAGE_KEYS, **options)
            yield answer
            if not answer.get("IsTruncated"):
                return
            options |= {"ContinuationToken": answer["NextContinuationToken"]}

    def _local_pages(self, prefix: str, start_after: str) -> Iterator[Sequence[StoredObject]]:
        keys = self._walk(prefix.rpartition("/")[0] + "/" if "/" in prefix else "", prefix, start_after)
        with translated(self._root):
            page = list(islice(keys, PAGE_KEYS))
        yield page
        while len(page) == PAGE_KEYS:
            with translated(self._root):
                page = list(islice(keys, PAGE_KEYS))
            if page:
                yield page

    def _walk(self, folder: str, prefix: str, start_after: str) -> Iterator[StoredObject]:
        """The objects below a folder in S3's order of keys, holding the names of one folder a level."""
        for name in _sorted_names(self._path(folder)):
            key = folder + name
            if name.endswith("/"):
                holds_wanted = key.startswith(prefix) or prefix.startswith(key)
                if holds_wanted and (key > start_after or start_after.startswith(key)):
                    yield from self._walk(key, prefix, start_after)
            elif key.startswith(prefix) and key > start_after and not name.startswith(TEMPORARY):
                with suppress(FileNotFoundError):  # deleted since its folder was read
                    yield _local_object(key, os.stat(self._path(key)))

    def _path(self, key: str) -> str:
        return f"{self._root}/{key}"


def _sorted_names(folder: str) -> Sequence[str]:
    """What is in a folder, folders with a '/' behind, which is how S3 orders them; nothing if it is not there."""
    try:
        with os.scandir(folder) as entries:
            return sorted(f"{entry.name}/" if entry.is_dir() else entry.name for entry in entries)
    except (FileNotFoundError, NotADirectoryError):
        return []


def _local_object(key: str, found: os.stat_result) -> StoredObject:
    return StoredObject(key, found.st_size, folder_etag(found), datetime.fromtimestamp(found.st_mtime, UTC))
