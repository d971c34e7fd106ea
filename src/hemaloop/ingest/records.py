"""What the ledger says, as values."""

from dataclasses import dataclass
from datetime import datetime

from hemaloop.imaging.measure import Measures
from hemaloop.ingest.states import State
from hemaloop.protocol.sidecar import Sidecar


@dataclass(frozen=True)
class Upload:
    """One version of one object in the bucket."""

    id: int
    bucket: str
    key: str
    etag: str
    size: int  # bytes
    modified: datetime
    state: State
    reason: str = ""  # why it was quarantined, or how it is a duplicate
    claimed_by: str | None = None
    lease_until: datetime | None = None
    sha256: str | None = None
    measures: Measures | None = None
    sidecar: Sidecar | None = None
    patient: str | None = None  # the sidecar's pseudonym
    stored_key: str | None = None  # where the bytes to version are, if not at `key`
    sent_sha256: str | None = None  # of what the device sent, where that copy is what is kept
    quarantine_key: str | None = None
    quarantined_at: datetime | None = None
    original: str | None = None  # of a duplicate: the key of the accepted upload
    original_sha256: str | None = None
    batch: str | None = None
    revision: str | None = None  # the git commit that holds the batch


@dataclass(frozen=True)
class Change:
    """One row of an upload's history."""

    at: datetime
    state: State
    actor: str
    note: str


@dataclass(frozen=True)
class Trace:
    """An upload and everything that happened to it, oldest first."""

    upload: Upload
    changes: tuple[Change, ...]


@dataclass(frozen=True)
class SealedBatch:
    """Its uploads are read without their measures."""

    id: str
    images: tuple[Upload, ...]
    links: tuple[Upload, ...]  # duplicates of images in this batch or older ones
    revision: str | None = None
