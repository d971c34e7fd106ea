"""Images on this machine, by what they hold, between being measured and being versioned."""

import hashlib
import logging
import time
from collections.abc import Iterable
from pathlib import Path

from hemaloop.errors import DataError
from hemaloop.files import write_atomically
from hemaloop.ingest.records import Upload
from hemaloop.storage import Bucket

log = logging.getLogger(__name__)

FORGOTTEN_SECONDS = 7 * 24 * 3600


class Staging:
    """A cache: what is not here is read from the bucket again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def keep(self, data: bytes, sha256: str) -> None:
        path = self.folder / sha256
        if not path.exists():
            write_atomically(path, data)

    def read(self, bucket: Bucket, upload: Upload) -> bytes:
        """The bytes that were measured, checked by their hash.

        Raises:
            DataError: neither this machine nor the bucket has them any more.
        """
        wanted = upload.sha256 or ""
        path = self.folder / wanted
        if path.is_file() and _is(data := path.read_bytes(), wanted):
            return data
        for key in (upload.key, upload.quarantine_key):
            data = (bucket.read_many([key])[key] or b"") if key else b""
            if _is(data, wanted):
                return data
        raise DataError(f"{upload.key}: the image that was measured (SHA-256 {wanted}) is no longer in {bucket.url}")

    def forget(self, hashes: Iterable[str]) -> None:
        for sha256 in hashes:
            (self.folder / sha256).unlink(missing_ok=True)

    def sweep(self) -> None:
        """Forget what a killed run left here long ago."""
        oldest = time.time() - FORGOTTEN_SECONDS
        for path in self.folder.glob("*"):
            if path.stat().st_mtime < oldest:
                log.info("forgetting staged %s", path.name)
                path.unlink(missing_ok=True)


def _is(data: bytes, sha256: str) -> bool:
    return hashlib.sha256(data).hexdigest() == sha256
