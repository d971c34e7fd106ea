"""Devices that upload pictures: good, doubled, late, overwritten and hostile ones; and what must become of each."""

import hashlib
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from hemaloop.errors import TransientError
from hemaloop.imaging.decode import encode_jpeg
from hemaloop.imaging.faults import reencode
from hemaloop.imaging.smear import CLASSES, Slide, draw
from hemaloop.imaging.strip import strip_private
from hemaloop.protocol.documents import encode
from hemaloop.protocol.keys import UploadKey, sidecar_key
from hemaloop.protocol.sidecar import Sidecar
from hemaloop.storage import Bucket

Corpus = Mapping[str, tuple[bytes, frozenset[str]]]  # name -> file, and the reasons that may quarantine it

DELETED = "deleted"
PRIVATE = "private_exif"

_TRIES = 200
_AGAIN_SECONDS = 0.3


@dataclass(frozen=True)
class Sent:
    """The last content of a key, once it has arrived."""

    key: str
    sha256: str  # of what is to be taken in
    kind: str
    reasons: frozenset[str] = frozenset()  # any of which may quarantine it; none: it must be in the dataset


@dataclass(frozen=True)
class Plan:
    """One upload to come: contents of one key, in this order."""

    key: UploadKey
    contents: tuple[bytes, ...]
    kind: str
    label: str | None = None
    slide: str | None = None
    sidecar: bool = True
    reasons: frozenset[str] = frozenset()
    misplaced: bool = False
    deleted: bool = False  # at once, again
    private: bool = False  # a copy without its private metadata is taken in


class Device:
    """One microscope. The same seed takes the same pictures."""

    def __init__(self, name: str, seed: int, hostile: Corpus, now: datetime) -> None:
        self.name, self._now = name, now
        self._random = random.Random(f"{seed} {name}")
        self._seed = self._random.randrange(2**31)
        self._hostile = sorted(hostile.items())
        self._taken: list[bytes] = []
        self._half: list[tuple[UploadKey, bytes, str, str]] = []
        self._number = 0

    def plan(self) -> Plan:
        """The next upload."""
        kinds: dict[Callable[[], Plan], int] = {
            self._good: 66,
            self._without_sidecar: 6,
            self._again: 6,
            self._overwritten: 10,
            self._late: 4,
            self._skewed: 2,
            self._misplaced: 1,
            self._deleted: 2,
            self._bad: 10 if self._hostile else 0,
        }
        return self._random.choices(list(kinds), list(kinds.values()))[0]()

    def send(self, bucket: Bucket, plan: Plan) -> Sent:
        """Upload it as a spool does: again until it has arrived."""
        key = str(plan.key) + (".backup" if plan.misplaced else "")
        for content in plan.contents:
            _insist(lambda content=content: bucket.write(key, content))  # type: ignore[misc]
            time.sleep(self._random.random() * 0.05)
        last = hashlib.sha256(plan.contents[-1]).hexdigest()
        taken_in = hashlib.sha256(strip_private(plan.contents[-1])).hexdigest() if plan.private else last
        if plan.deleted:
            _insist(lambda: bucket.delete(key))
        if plan.sidecar:
            beside = Sidecar(
                last, self.name, self._now + timedelta(seconds=self._number), plan.slide,
                label=plan.label, labelled_by="drill" if plan.label else None,
            )  # fmt: skip
            _insist(lambda: bucket.write(sidecar_key(key), encode(beside)))
        return Sent(key, taken_in, plan.kind, plan.reasons)

    def _key(self, day: datetime | None = None, suffix: str = ".jpg") -> UploadKey:
        self._number += 1
        return UploadKey(self.name, (day or self._now).date(), f"{self._number:05d}", suffix)

    def _picture(self) -> tuple[bytes, str, str]:
        slide, label = self._number // 12, CLASSES[self._number % len(CLASSES)]
        image = encode_jpeg(draw(label, Slide.of(self._seed + slide), self._seed + self._number))
        self._taken.append(image)
        return image, label, f"{self.name}-{slide}"

    def _good(self) -> Plan:
        key = self._key()
        image, label, slide = self._picture()
        return Plan(key, (image,), "good", label, slide)

    def _without_sidecar(self) -> Plan:
        key = self._key()
        return Plan(key, (self._picture()[0],), "without sidecar", sidecar=False)

    def _again(self) -> Plan:
        if not self._taken:
            return self._good()
        image = self._random.choice(self._taken)
        return Plan(self._key(), (self._random.choice((image, reencode(image))),), "again", slide=f"{self.name}-again")

    def _overwritten(self) -> Plan:
        """Half an image; some uploads later, the whole one under the same key."""
        if self._half:
            key, image, label, slide = self._half.pop()
            return Plan(key, (image[: len(image) // 3], image), "overwritten", label, slide)
        key = self._key()
        self._half.append((key, *self._picture()))
        half = self._half[0][1]
        return Plan(key, (half[: len(half) // 2],), "half", sidecar=False, reasons=frozenset({"truncated"}))

    def _late(self) -> Plan:
        key = self._key(self._now - timedelta(days=self._random.randrange(30, 400)))
        image, label, slide = self._picture()
        return Plan(key, (image,), "late", label, slide)

    def _skewed(self) -> Plan:
        key = self._key(datetime(self._random.choice((1970, 2099)), 1, 1, tzinfo=UTC))
        image, label, slide = self._picture()
        return Plan(key, (image,), "skewed clock", label, slide)

    def _deleted(self) -> Plan:
        key = self._key()
        image, label, slide = self._picture()
        return Plan(key, (image,), DELETED, label, slide, deleted=True)

    def _misplaced(self) -> Plan:
        return Plan(
            self._key(), (self._picture()[0],), "misplaced", sidecar=False, reasons=frozenset({"misplaced"}),
            misplaced=True,
        )  # fmt: skip

    def _bad(self) -> Plan:
        name, (content, reasons) = self._random.choice(self._hostile)
        suffix = ".png" if content.startswith(b"\x89PNG") else ".jpg"
        private = reasons == {PRIVATE}
        return Plan(
            self._key(suffix=suffix), (content,), f"hostile: {name}", reasons=frozenset() if private else reasons,
            private=private,
        )  # fmt: skip


def _insist(write: Callable[[], None]) -> None:
    for _ in range(_TRIES):
        try:
            return write()
        except TransientError:
            time.sleep(_AGAIN_SECONDS)
    raise TransientError("an upload never arrived: is the S3 server alive?")
