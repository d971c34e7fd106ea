"""Where DVC keeps content, by its MD5: files/md5/ab/cdef... below its cache and its remote.

Source: https://dvc.org/doc/user-guide/project-structure/internal-files (version 3 of the cache).
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from hemaloop.storage import Bucket

FOLDER = ".dir"  # ends the name of an object that lists a folder


@dataclass(frozen=True)
class Removed:
    """How many objects were there, and are not any more."""

    cache: int = 0
    remote: int = 0

    def __add__(self, other: "Removed") -> "Removed":
        return Removed(self.cache + other.cache, self.remote + other.remote)


class Objects:
    """The objects of one cache and of the remote."""

    def __init__(self, cache: Path, remote: str) -> None:
        self._cache = cache
        scheme, _, place = remote.partition("://")
        # A folder may be a bucket; on S3 what follows the bucket's name begins each key.
        name, _, inside = place.partition("/") if scheme == "s3" else (place, "", "")
        self._bucket, self._prefix = Bucket(f"{scheme}://{name}"), f"{inside}/" if inside else ""

    def read(self, md5: str) -> bytes | None:
        """From the cache, else from the remote; None: neither has it."""
        path = self._cache / _place(md5)
        if path.is_file():
            return path.read_bytes()
        key = self._prefix + _place(md5)
        return self._bucket.read_many([key])[key]

    def names(self, md5: str) -> dict[str, str] | None:
        """MD5 of each file of a folder, by name; None: its list is gone."""
        data = self.read(md5)
        return None if data is None else {entry["relpath"]: entry["md5"] for entry in json.loads(data)}

    def remove(self, hashes: Iterable[str]) -> Removed:
        """Again, it removes nothing more."""
        removed = Removed()
        for md5 in hashes:
            path, key = self._cache / _place(md5), self._prefix + _place(md5)
            removed += Removed(int(path.exists()), int(self._bucket.exists(key)))
            path.unlink(missing_ok=True)
            self._bucket.delete(key)
        return removed


def list_folder(files: Mapping[str, str]) -> str:
    """The MD5 of the object that lists a folder. Args: files: MD5 by name."""
    entries = [{"md5": md5, "relpath": name} for name, md5 in sorted(files.items())]
    return md5_of(json.dumps(entries, sort_keys=True).encode()) + FOLDER


def md5_of(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def _place(md5: str) -> str:
    return f"files/md5/{md5[:2]}/{md5[2:]}"
