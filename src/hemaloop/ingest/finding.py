"""Rules of finding uploads: where a poll looks, which sidecar belongs to which image, what has arrived whole."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

from hemaloop.protocol.keys import IMAGE_SUFFIXES, NAME, UPLOADS, parse_upload_key
from hemaloop.storage import StoredObject

SIDECAR = ".json"
_CLOCKS_DIFFER = timedelta(days=1)  # an object from further in the future tells nothing of its age


@dataclass(frozen=True)
class Pair:
    """What belongs together in a listing: an upload and its sidecar, or one of them alone."""

    image: StoredObject | None
    sidecar: StoredObject | None = None


@dataclass
class _Stem:
    """Keys that differ in their suffix alone, while more of them may come."""

    name: str
    images: list[StoredObject] = field(default_factory=list)  # at most one of each suffix
    sidecar: StoredObject | None = None

    def pairs(self) -> Iterator[Pair]:
        for image in self.images:
            yield Pair(image, self.sidecar)
        if not self.images:
            yield Pair(None, self.sidecar)


def pair(objects: Iterable[StoredObject]) -> Iterator[Pair]:
    """Every upload with the sidecar beside it, and sidecars alone.

    Args:
        objects: in order of keys, as a listing gives them. A stem stays open while keys begin with it and a '.':
            whatever sorts between an image and its sidecar, and wherever a page ends. What is open is all that is held.
    """
    stems: list[_Stem] = []  # each within the one before: 'a' and 'a.jpg', for 'a.jpg.json' sorts before 'a.json'
    for stored in objects:
        while stems and not stored.key.startswith(f"{stems[-1].name}."):
            yield from stems.pop().pairs()
        if stored.key.endswith("/"):
            continue  # a folder's marker, as some consoles make
        if not stored.key.endswith((*IMAGE_SUFFIXES, SIDECAR)):
            yield Pair(stored)
            continue
        name = stored.key.rpartition(".")[0]
        if not stems or stems[-1].name != name:
            stems.append(_Stem(name))
        if stored.key.endswith(SIDECAR):
            stems[-1].sidecar = stored
        else:
            stems[-1].images.append(stored)
    while stems:
        yield from stems.pop().pairs()


def has_arrived(found: Pair, settle: timedelta, now: datetime) -> bool:
    """Whether an upload is whole: it has a sidecar, or has not changed for `settle`."""
    if found.image is None:
        return False
    return found.sidecar is not None or is_settled(found.image, settle, now)


def is_settled(stored: StoredObject, settle: timedelta, now: datetime) -> bool:
    age = now - stored.modified
    return age >= settle or age <= -_CLOCKS_DIFFER


def partitions(devices: Iterable[str], now: datetime, window_days: int, hints: Sequence[str] = ()) -> list[str]:
    """The prefixes that a poll lists: recent days of every device, and where `hints` point.

    Args:
        devices: folders, 'uploads/<device>/'; a name that no device has is left to the reconciliation.
        hints: keys that may be new. One outside of any partition stands for itself.
    """
    first, days = _first_day(now, window_days), window_days + 2
    recent = [f"{first + timedelta(days=day):%Y/%m/%d}/" for day in range(days)]
    known = [device for device in devices if NAME.fullmatch(device.removeprefix(UPLOADS).rstrip("/"))]
    found = {f"{device}{day}" for device in known for day in recent}
    return sorted(found | {_around(hint) for hint in hints if hint.startswith(UPLOADS)})


def is_recent(key: str, now: datetime, window_days: int) -> bool:
    """Whether polls list the partition that an upload's key is in."""
    place = parse_upload_key(key)
    first = _first_day(now, window_days)
    return place is not None and first <= place.day < first + timedelta(days=window_days + 2)


def _first_day(now: datetime, window_days: int) -> date:
    return now.astimezone(UTC).date() - timedelta(days=window_days)


def is_partition(prefix: str) -> bool:
    """Whether it is one device's folder of one day."""
    return parse_upload_key(f"{prefix}x{IMAGE_SUFFIXES[0]}") is not None and prefix.endswith("/")


def _around(hint: str) -> str:
    """The partition of a hint; outside of any, the least that holds it and what belongs to it."""
    folder = hint.rpartition("/")[0] + "/"
    if is_partition(folder):
        return folder
    return f"{hint.rpartition('.')[0]}." if hint.endswith((*IMAGE_SUFFIXES, SIDECAR)) else hint


def identity(stored: StoredObject, vanished: bool) -> str:
    """The ETag under which the ledger knows an object.

    Where this very object was listed and gone when it was to be read (`vanished`), the same bytes under the same key
    are another upload, though S3 gives them the same ETag: its time tells them apart.
    """
    return f"{stored.etag}@{stored.modified.astimezone(UTC):%Y%m%dT%H%M%SZ}" if vanished else stored.etag


def is_identified(known: str, etag: str) -> bool:
    """Whether an object with this ETag is the one that the ledger knows as `known`: see `identity`."""
    return known.partition("@")[0] == etag if etag else True  # a store that gives no ETag cannot tell
