"""Read a chunk of uploads from the bucket, and measure them."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from hemaloop.errors import DataError
from hemaloop.imaging.measure import Measures, measure
from hemaloop.ingest.privacy import Stripped
from hemaloop.ingest.records import Upload
from hemaloop.ingest.rules import LABEL_UNKNOWN, MISPLACED, SIDECAR_INVALID, SIDECAR_MISMATCH, TOO_LARGE, VANISHED
from hemaloop.ingest.staging import Staging
from hemaloop.protocol.documents import decode
from hemaloop.protocol.keys import parse_upload_key, sidecar_key
from hemaloop.protocol.sidecar import Sidecar
from hemaloop.storage import Bucket

THREADS = 4  # OpenCV gives the interpreter's lock back while it works


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


def measure_uploads(
    bucket: Bucket, staging: Staging, claimed: Sequence[Upload], classes: Sequence[str], largest: int
) -> list[Measured]:
    """Measure a chunk of uploads, and stage those that can be read.

    Args:
        classes: the labels that are known.
        largest: bytes; a larger object is not read at all.
    """
    placed = [upload for upload in claimed if parse_upload_key(upload.key)]
    small = [upload for upload in placed if upload.size <= largest]
    contents = bucket.read_many([upload.key for upload in small])
    sidecars = bucket.read_many(sorted({sidecar_key(upload.key) for upload in placed}))
    measured = [_unread(upload) for upload in claimed if upload not in small]
    with ThreadPoolExecutor(THREADS) as pool:
        measured += pool.map(
            lambda upload: _read(upload, contents[upload.key], sidecars[sidecar_key(upload.key)], classes, staging),
            small,
        )
    return sorted(measured, key=lambda found: (found.key, found.upload))


def _unread(upload: Upload) -> Measured:
    if parse_upload_key(upload.key) is None:
        note = "wanted uploads/<device>/<yyyy>/<mm>/<dd>/<capture>.jpg (or .jpeg, .png)"
        return Measured(upload.id, upload.key, upload.size, MISPLACED, note)
    measures = Measures(upload.size, "", "", TOO_LARGE, 0, 0, 0)
    return Measured(upload.id, upload.key, upload.size, measures=measures)


def _read(
    upload: Upload, data: bytes | None, beside: bytes | None, classes: Sequence[str], staging: Staging
) -> Measured:
    if data is None:
        return Measured(upload.id, upload.key, upload.size, VANISHED, "it was listed, and gone when it was to be read")
    measures = measure(data)
    if not measures.problem:
        staging.keep(data, measures.sha256)
    sidecar, reading, note = _check_sidecar(upload.key, beside, measures, classes)
    return Measured(upload.id, upload.key, measures.bytes, reading, note, measures, sidecar)


def _check_sidecar(
    key: str, beside: bytes | None, measures: Measures, classes: Sequence[str]
) -> tuple[Sidecar | None, str, str]:
    """The sidecar, what is wrong with it, and how; an image may come without one."""
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
