"""Who approved each released version, and why: releases/approvals/<version>.json."""

from dataclasses import dataclass

from hemaloop.protocol.documents import decode, encode
from hemaloop.protocol.keys import RELEASES
from hemaloop.release.pending import Approval
from hemaloop.storage import Bucket

APPROVALS = f"{RELEASES}approvals/"


@dataclass(frozen=True)
class Record:
    """The approvals of one released version, oldest first."""

    version: int
    sha256: str  # of the bundle
    approvals: tuple[Approval, ...]


def write_record(bucket: Bucket, record: Record) -> None:
    """Keep the approvals of a release; the first record of a version stays."""
    key = f"{APPROVALS}{record.version}.json"
    if not bucket.exists(key):
        bucket.write(key, encode(record))


def read_record(bucket: Bucket, version: int) -> Record | None:
    """The approvals of a release; None: none are kept."""
    try:
        return decode(bucket.read(f"{APPROVALS}{version}.json"), Record)
    except FileNotFoundError:
        return None
