"""Data Docs: a static site below docs/ in the bucket, and on this machine."""

import logging
from pathlib import Path

from hemaloop.files import write_atomically
from hemaloop.protocol.keys import DOCS
from hemaloop.storage import Bucket

log = logging.getLogger(__name__)

STATIC = "static/"
_UNUSED = ".gif"  # 3 MB of guided tour that our pages do not show


def publish(bucket: Bucket, built: Path, local: Path) -> None:
    """Copy the pages of one run; the fonts and pictures, which never change, once."""
    there = {stored.key for stored in bucket.list(DOCS + STATIC)}
    for path in sorted(path for path in built.rglob("*") if path.is_file() and path.suffix != _UNUSED):
        name = path.relative_to(built).as_posix()
        data = path.read_bytes()
        if not (name.startswith(STATIC) and (local / name).exists()):
            write_atomically(local / name, data)
        if DOCS + name not in there:
            bucket.write(DOCS + name, data)
    log.info("Data Docs are in %s/%s", bucket.url, DOCS)
