"""Images, batches and answers to `read`, for tests that version them. No picture is needed: DVC looks into none."""

import hashlib
from datetime import UTC, datetime

from hemaloop.dataset.batch import Batch, BatchImage, Origin
from hemaloop.dataset.split import SplitParams

PARAMS = SplitParams(seed=7, train=0.7, validation=0.15, test=0.15, neighbour_minutes=10)
NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
SLIDES = 5


def content(name: str) -> bytes:
    return f"image {name}".encode() * 100


def image(name: str, slide: str, label: str | None = "lymphocyte") -> BatchImage:
    sha256 = hashlib.sha256(content(name)).hexdigest()
    return BatchImage(sha256, ".jpg", f"uploads/pi-1/2026/11/01/{name}.jpg", Origin("pi-1", NOON, slide), label)


def batch(name: str, images: int = 12, label: str | None = "lymphocyte") -> Batch:
    return Batch(tuple(image(f"{name}-{n}", f"{name}-{n % SLIDES}", label) for n in range(images)))


def read(wanted: BatchImage) -> bytes:
    return content(wanted.upload.rsplit("/", 1)[1].removesuffix(".jpg"))
