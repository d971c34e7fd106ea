"""Images on this machine, by what they hold, between being measured and being versioned."""

import hashlib
import logging
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from hemaloop.errors import DataError
from hemaloop.imaging.strip import strip_private
from hemaloop.ingest.records import Upload
from hemaloop.storage import Bucket

log = logging.getLogger(__name__)

FORGOTTEN_SECONDS = 7 * 24 * 3600
READERS = 8  # images that are looked for at once


class VanishedError(DataError):
    """An accepted image's bytes are nowhere any more."""


class Staging:
    """A cache: what is not here is read from the bucket again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def keep(self, data: bytes, sha256: str) -> None:
        """Written as it is, and not forced to the disk: whatever a kill or a power cut leaves is told by its hash."""
        path = self.folder / sha256
        if path.is_file() and path.stat().st_size == len(data):
            return
        try:
            path.write_bytes(data)
        except FileNotFoundError:
            self.folder.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)

    def read(self, bucket: Bucket, upload: Upload) -> bytes:
        """The bytes that were measured, checked by their hash.

        Raises:
            VanishedError: neither this machine nor the bucket has them any more.
        """
        wanted = upload.sha256 or ""
        path = self.folder / wanted
        if path.is_file() and _is(data := path.read_bytes(), wanted):
            return data
        for key in (upload.stored_key, upload.key, upload.quarantine_key):
            try:
                data = bucket.read(key) if key else b""
            except FileNotFoundError:
                continue
            if _is(data, wanted):
                return data
            if upload.sent_sha256 and _is(data, upload.sent_sha256):  # it was measured without its private metadata
                return strip_private(data)
        raise VanishedError(f"{upload.key}: the image that was measured (SHA-256 {wanted}) is nowhere in {bucket.url}")

    def vanished(self, bucket: Bucket, uploads: Sequence[Upload]) -> list[Upload]:
        """Those whose bytes `read` does not find."""
        with ThreadPoolExecutor(READERS) as pool:
            found = pool.map(lambda upload: self._has(bucket, upload), uploads)
            return [upload for upload, there in zip(uploads, found, strict=True) if not there]

    def _has(self, bucket: Bucket, upload: Upload) -> bool:
        try:
            self.read(bucket, upload)
        except VanishedError:
            return False
        return True

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
