"""A batch: accepted uploads sealed together, immutable, named by what it holds."""

import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime

from hemaloop.errors import DataError

ID_DIGITS = 16

_SHA256 = re.compile(r"[0-9a-f]{64}")
_SUFFIX = re.compile(r"\.(jpg|jpeg|png)")


@dataclass(frozen=True)
class Origin:
    """Where an image comes from: what decides its group. Slide and patient are pseudonyms, the same on all devices."""

    device: str
    captured_at: datetime  # with a time zone
    slide: str | None = None
    patient: str | None = None

    def __post_init__(self) -> None:
        if self.captured_at.tzinfo is None:
            raise DataError(f"an image of {self.device}: {self.captured_at} has no time zone")


@dataclass(frozen=True)
class BatchImage:
    sha256: str  # of the image's bytes, hexadecimal
    suffix: str  # of its file: .jpg, .jpeg or .png
    upload: str  # its key in the bucket
    origin: Origin
    label: str | None = None
    labelled_by: str | None = None
    stain: str | None = None
    um_per_px: float | None = None  # micrometres per pixel

    def __post_init__(self) -> None:
        if not _SHA256.fullmatch(self.sha256) or not _SUFFIX.fullmatch(self.suffix):
            raise DataError(f"upload {self.upload}: {self.name!r}: wanted a sha256 and .jpg, .jpeg or .png")

    @property
    def name(self) -> str:
        return f"{self.sha256}{self.suffix}"


@dataclass(frozen=True)
class Link:
    """An upload that was refused as a duplicate of an accepted image: its group and that image's group are one."""

    origin: Origin  # of the refused upload
    sha256: str  # of the accepted image, in this batch or an older one
    reason: str  # a few words: "near-duplicate at distance 3 of 64"

    def __post_init__(self) -> None:
        if not _SHA256.fullmatch(self.sha256):
            raise DataError(f"link {self.reason!r} of {self.origin.device}: wanted a sha256, got {self.sha256!r}")

    @property
    def line(self) -> str:
        """All of it, to hash and to order by."""
        origin = self.origin
        time = origin.captured_at.astimezone(UTC).isoformat()
        return "\t".join((self.sha256, origin.device, time, origin.slide or "", origin.patient or "", self.reason))


@dataclass(frozen=True)
class Batch:
    images: tuple[BatchImage, ...]
    links: tuple[Link, ...] = ()

    def __post_init__(self) -> None:
        if not self.images and not self.links:
            raise DataError("a batch needs an image or a link")
        if len({image.sha256 for image in self.images}) != len(self.images):
            raise DataError("a batch holds each image once: the same sha256 was given twice")

    @property
    def id(self) -> str:
        """The same images and links, in any order, give the same 16 hexadecimal digits."""
        lines = sorted(image.sha256 for image in self.images) + sorted(link.line for link in self.links)
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:ID_DIGITS]
