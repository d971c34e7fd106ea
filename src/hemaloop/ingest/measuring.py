"""Read a chunk of uploads from the bucket, and measure them."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from hemaloop.errors import DataError
from hemaloop.imaging.decode import work_in_callers_thread
from hemaloop.imaging.measure import Measures, measure
from hemaloop.ingest.finding import is_identified
from hemaloop.ingest.privacy import QUARANTINE, Stripped, without_private
from hemaloop.ingest.records import Upload
from hemaloop.ingest.rules import LABEL_UNKNOWN, MISPLACED, SIDECAR_INVALID, SIDECAR_MISMATCH, TOO_LARGE, VANISHED
from hemaloop.ingest.staging import Staging
from hemaloop.protocol.documents import decode
from hemaloop.protocol.keys import parse_upload_key, sidecar_key
from hemaloop.protocol.sidecar import Sidecar
from hemaloop.storage import Bucket

THREADS = 8  # they wait for the store, and OpenCV gives the interpreter's lock back while it works


@dataclass(frozen=True)
class Chunk:
    """Uploads to measure together, with all that it takes, wherever it is done."""

    bucket: str  # URL
    uploads: tuple[Upload, ...]
    classes: tuple[str, ...]  # the labels that are known
    largest: int  # bytes; a larger object is not read at all
    staged: Path | None  # folder to stage in; None where another machine will version them
    private: str = QUARANTINE  # what to do with private metadata: one of privacy.POLICIES
    apart: bool = False  # measured in another process of this machine

    @property
    def first(self) -> str:
        return self.uploads[0].key


@dataclass(frozen=True)
class Measured:
    """An upload, read and measured; not judged yet."""

    upload: int
    key: str
    bytes: int
    reading: str = ""  # what was wrong with the object or its sidecar: one of rules.MISPLACED ...
    note: str = ""
    measures: Measures | None = None  # None: not an image in its place, or gone
    sidecar: Sidecar | None = None
    stripped: Stripped | None = None  # `measures` are those of a copy without private metadata


def measure_chunk(chunk: Chunk) -> list[Measured]:
    """Measure a chunk of uploads, and stage those that can be read.

    Each thread reads an upload and measures it: while some wait for the store, others have the processor, and no more
    than `THREADS` images are held.
    """
    work_in_callers_thread()
    bucket, staging = Bucket(chunk.bucket), Staging(chunk.staged) if chunk.staged else None
    with ThreadPoolExecutor(THREADS) as pool:
        measured = pool.map(lambda upload: _measure(bucket, staging, upload, chunk), chunk.uploads)
        return sorted(measured, key=lambda found: (found.key, found.upload))


def _measure(bucket: Bucket, staging: Staging | None, upload: Upload, chunk: Chunk) -> Measured:
    if parse_upload_key(upload.key) is None or upload.size > chunk.largest:
        return _unread(upload)
    try:
        found = bucket.fetch(upload.key)
    except FileNotFoundError:
        return Measured(upload.id, upload.key, upload.size, VANISHED, "it was listed, and gone when it was to be read")
    if not is_identified(upload.etag, found.etag):
        note = "it was listed, and overwritten when it was to be read: what is there now is another upload"
        return Measured(upload.id, upload.key, upload.size, VANISHED, note)
    measures = measure(found.data)
    sidecar, reading, note = _check_sidecar(upload.key, _beside(bucket, upload.key), measures, chunk.classes)
    data, measures, stripped = without_private(found.data, measures, chunk.private)
    if staging is not None and not measures.problem:
        staging.keep(data, measures.sha256)
    return Measured(upload.id, upload.key, measures.bytes, reading, note or measures.note, measures, sidecar, stripped)


def _unread(upload: Upload) -> Measured:
    if parse_upload_key(upload.key) is None:
        note = "wanted uploads/<device>/<yyyy>/<mm>/<dd>/<capture>.jpg (or .jpeg, .png)"
        return Measured(upload.id, upload.key, upload.size, MISPLACED, note)
    measures = Measures(upload.size, "", "", TOO_LARGE, 0, 0, 0)
    return Measured(upload.id, upload.key, upload.size, measures=measures)


def _beside(bucket: Bucket, key: str) -> bytes | None:
    """The sidecar's bytes; an image may come without one."""
    try:
        return bucket.read(sidecar_key(key))
    except FileNotFoundError:
        return None


def _check_sidecar(
    key: str, beside: bytes | None, measures: Measures, classes: Sequence[str]
) -> tuple[Sidecar | None, str, str]:
    """The sidecar, what is wrong with it, and how."""
    if beside is None:
        return None, "", ""
    try:
        sidecar = decode(beside, Sidecar)
    except DataError as error:
        return None, SIDECAR_INVALID, str(error)
    place = parse_upload_key(key)
    if sidecar.sha256 != measures.sha256:
        note = f"the sidecar says SHA-256 {sidecar.sha256}, the image has {measures.sha256}: upload it again"
        return sidecar, SIDECAR_MISMATCH, note
    if place is None or sidecar.device != place.device:
        return sidecar, SIDECAR_MISMATCH, f"the sidecar says device {sidecar.device}, the key says otherwise"
    if sidecar.label is not None and sidecar.label not in classes:
        return sidecar, LABEL_UNKNOWN, f"label {sidecar.label!r}, wanted one of {', '.join(classes)}"
    return sidecar, "", ""
