"""Is there anything new? Asked with one small request, where the last look was a full one and not long ago.

The bucket's timestamp names all other metadata. While its signature is that of the one that was verified here, and
that has not expired, a full look would end where the last one did: the signature stands first in the file, and every
change changes it. Whoever holds the old one up to us can freeze us no longer than with the whole file. Only a new
root could not be seen so: hence the hour.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from tuf.api.metadata import Metadata, Timestamp

from hemaloop.device.home import Home
from hemaloop.device.journal import Journal
from hemaloop.device.transport import Transport
from hemaloop.device.updates.repository import METADATA
from hemaloop.errors import DataError
from hemaloop.protocol.documents import decode, encode

LOOK = "look"  # the journal's note
FULL_EVERY = timedelta(hours=1)


@dataclass(frozen=True)
class Look:
    """A full look that left nothing to do."""

    at: datetime
    channel: str
    running: int | None
    wanted: int
    reason: str = ""  # why what the channel wants is not taken


def remember(journal: Journal, look: Look) -> None:
    journal.note(LOOK, encode(look).decode())


def forget(journal: Journal) -> None:
    journal.note(LOOK, "")


def last(journal: Journal) -> Look | None:
    """None where the last look left something to do."""
    try:
        return decode((journal.noted(LOOK) or "").encode(), Look)
    except DataError:
        return None


def still_holds(look: Look, home: Home, transport: Transport, now: datetime) -> bool:
    """Whether the bucket's timestamp is the one that the look saw.

    Raises: TransientError, ConfigError: as the transport's.
    """
    known = home.metadata / "timestamp.json"
    # The distance, not the order: after a clock was set back, a look of the future must not count for years.
    if abs(now - look.at) >= FULL_EVERY or not known.exists():
        return False
    ours = known.read_bytes()
    if Metadata[Timestamp].from_bytes(ours).signed.is_expired(now.astimezone(UTC)):
        return False
    try:
        return b"".join(transport.read(f"{METADATA}timestamp.json", 0, len(asked := _signature(ours)))) == asked
    except FileNotFoundError:
        return False


def _signature(metadata: bytes) -> bytes:
    """A file up to the end of its signatures; all of it, where they do not come first."""
    signatures, signed = metadata.find(b'"signatures"'), metadata.find(b'"signed"')
    return metadata[:signed] if 0 <= signatures < signed else metadata
