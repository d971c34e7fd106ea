"""Sending: again, the same files give the same keys, and nothing that is there is sent twice."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, fields, replace
from enum import Enum
from itertools import islice
from typing import TypeVar

from hemaloop.errors import DataError
from hemaloop.imaging.decode import decode as decode_image
from hemaloop.imaging.decode import encode_png
from hemaloop.protocol.documents import decode, encode
from hemaloop.protocol.keys import UploadKey, sidecar_key
from hemaloop.protocol.sidecar import Sidecar
from hemaloop.storage import Bucket, StoredObject
from hemaloop.uploading.item import Item, name_of

THREADS = 8

Done = TypeVar("Done")
Work = TypeVar("Work")


class Outcome(Enum):
    SENT = "sent"
    THERE = "there already"
    DIFFERS = "there with other words"  # and left so: what was said once is not overwritten


@dataclass(frozen=True)
class Ready:
    """An item whose file was read once: where it goes is known."""

    item: Item
    key: str
    sha256: str  # of the file


@dataclass(frozen=True)
class Sent:
    key: str
    outcome: Outcome
    note: str = ""


def prepare(item: Item) -> Ready:
    """Give an item its key, from what the file holds: the same file, the same key.

    A cell's is made of the image that it comes from and its place in it, so that no encoder has a say in it.
    """
    sha256 = hashlib.sha256(item.path.read_bytes()).hexdigest()
    parts = [name_of(item.path), str(item.cut) if item.cut else "", sha256[:12]]
    suffix = ".png" if item.cut else item.path.suffix.lower()
    key = UploadKey(item.said.device, item.said.captured_at.date(), "-".join(filter(None, parts)), suffix)
    return Ready(item, str(key), sha256)


def contradictions(found: Iterable[Ready]) -> list[str]:
    """Where the same picture has two labels."""
    first: dict[tuple[str, object], Item] = {}
    problems = []
    for ready in found:
        other = first.setdefault((ready.sha256, ready.item.cut), ready.item)
        if other.said.label != ready.item.said.label:
            problems.append(
                f"{ready.item.path}{f' at {ready.item.cut}' if ready.item.cut else ''} is {ready.item.said.label}, "
                f"but the same image is {other.said.label} as {other.path}: keep the one that is true"
            )
    return problems


def what_is_there(bucket: Bucket, found: Iterable[Ready]) -> dict[str, StoredObject]:
    """The objects of the days and devices that an import touches, by key."""
    days = {ready.key.rpartition("/")[0] for ready in found}
    return {stored.key: stored for day in sorted(days) for stored in bucket.list(f"{day}/")}


def send(bucket: Bucket, ready: Ready, there: Mapping[str, StoredObject] | None = None) -> Sent:
    """Upload an image and then its sidecar, but for what is `there`.

    Raises: DataError: the file is no longer what it was, or cannot be cut.
    """
    there = there or {}
    data = _content(ready)
    said = replace(ready.item.said, sha256=hashlib.sha256(data).hexdigest())
    beside = sidecar_key(ready.key)
    has_image = ready.key in there and there[ready.key].size == len(data)  # the key says what is in it
    if has_image and beside in there:
        same = there[beside].etag == hashlib.md5(encode(said), usedforsecurity=False).hexdigest()
        note = "" if same else _difference(bucket.read(beside), said)
        return Sent(ready.key, Outcome.DIFFERS if note else Outcome.THERE, note)
    if not has_image:
        bucket.write(ready.key, data)
    bucket.write(beside, encode(said))
    return Sent(ready.key, Outcome.SENT)


def in_threads(work: Callable[[Work], Done], items: Sequence[Work], threads: int = THREADS) -> Iterator[Done]:
    """The work's results as they come; the first error stops what has not begun. Few results wait at a time."""
    left = iter(items)
    with ThreadPoolExecutor(threads) as pool:
        running: set[Future[Done]] = {pool.submit(work, item) for item in islice(left, 2 * threads)}
        try:
            while running:
                done, running = wait(running, return_when=FIRST_COMPLETED)
                running |= {pool.submit(work, item) for item in islice(left, len(done))}
                for future in done:
                    yield future.result()
        finally:
            for future in running:
                future.cancel()


def _content(ready: Ready) -> bytes:
    """What goes up: the file as it is, or the part of it that is cut out.

    A PNG: the cell's pixels are then exactly those of its source. A second JPEG would lose some again, on a grid of
    blocks that is not the first one's, and that is just what measures of quality and a network may learn from.
    """
    data = ready.item.path.read_bytes()
    if hashlib.sha256(data).hexdigest() != ready.sha256:
        raise DataError(f"{ready.item.path} has changed since it was checked: import again")
    if ready.item.cut is None:
        return data
    box, image = ready.item.cut, decode_image(data)
    if box.right > image.shape[1] or box.bottom > image.shape[0]:
        raise DataError(f"{ready.item.path} is turned by its EXIF: annotate it as it is seen, or take that out")
    return encode_png(image[box.top : box.bottom, box.left : box.right])


def _difference(data: bytes, said: Sidecar) -> str:
    """What a sidecar in the bucket says otherwise, in words; when an image was captured, a copied file forgets."""
    try:
        before = decode(data, Sidecar)
    except DataError as error:
        return f"its sidecar cannot be read: {error}"
    names = [field.name for field in fields(Sidecar) if field.name != "captured_at"]
    different = [name for name in names if getattr(before, name) != getattr(said, name)]
    return ", ".join(f"{name} is {getattr(before, name)!r}, here {getattr(said, name)!r}" for name in different)
