"""Private metadata of an upload: places, names, serial numbers. What is kept is a copy without it."""

from dataclasses import dataclass
from pathlib import PurePosixPath

from hemaloop.errors import DataError
from hemaloop.imaging.measure import Measures, measure
from hemaloop.imaging.strip import strip_private
from hemaloop.protocol.keys import STRIPPED, UPLOADS

STRIP_AND_QUARANTINE = "strip_and_quarantine_original"
STRIP_AND_DROP = "strip_and_drop_original"
QUARANTINE = "quarantine"
POLICIES = (STRIP_AND_QUARANTINE, STRIP_AND_DROP, QUARANTINE)


@dataclass(frozen=True)
class Stripped:
    """That an upload was measured, and is to be kept, without its private metadata."""

    sent_sha256: str  # of the bytes that the device sent
    found: str  # of "gps", "serial number", "name"
    keep_original: bool  # in quarantine; else it is dropped


def without_private(data: bytes, measures: Measures, policy: str) -> tuple[bytes, Measures, Stripped | None]:
    """The bytes to keep of an image, their measures, and what was taken away; None where nothing was.

    The pixels stay bit for bit. An image that private metadata cannot be taken from stays as it is, and is refused
    for it.
    """
    if policy == QUARANTINE or measures.problem or not measures.private_exif:
        return data, measures, None
    try:
        clean = strip_private(data)
    except DataError:
        return data, measures, None
    again = measure(clean)
    if again.problem or again.private_exif:
        return data, measures, None
    return clean, again, Stripped(measures.sha256, measures.private_exif, policy == STRIP_AND_QUARANTINE)


def stripped_key(key: str, sha256: str) -> str:
    """Where the copy of upload `key` without private metadata lies; other content, another key."""
    path = PurePosixPath(key.removeprefix(UPLOADS))
    return f"{STRIPPED}{path.with_suffix('')}.{sha256[:12]}{path.suffix}"
