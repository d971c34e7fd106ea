"""A release bundle: one zip, so that one signature covers the model and how to test it.

model.tflite      the model, its card (classes, input) inside
release.json      Release
golden/<name>     images whose answers are known
"""

import io
import zipfile
from dataclasses import dataclass, field
from datetime import datetime

from hemaloop.errors import UntrustedError
from hemaloop.protocol.documents import decode, encode

MODEL = "model.tflite"
RELEASE = "release.json"
GOLDEN = "golden/"
LARGEST_MEMBER = 64 * 2**20  # bytes; a bundle with more is refused unread


@dataclass(frozen=True)
class GoldenImage:
    """An image and what the model answered to it where it was built."""

    name: str  # file name under golden/
    label: str
    probabilities: tuple[float, ...]  # in the order of the model card's classes


@dataclass(frozen=True)
class Release:
    version: int  # MLflow model version
    dataset_revision: str  # git commit
    created_at: datetime
    golden: tuple[GoldenImage, ...]
    tolerance: float  # largest allowed difference of a probability on a golden image
    latency_budget_ms: float  # one image, decoding included, on the device
    fallback: int | None = None  # the one older version that devices may be sent back to
    metrics: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Bundle:
    release: Release
    model: bytes
    golden: dict[str, bytes]  # name -> encoded image


def pack(bundle: Bundle) -> bytes:
    """The same bundle always gives the same bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        _add(archive, MODEL, bundle.model)
        _add(archive, RELEASE, encode(bundle.release))
        for image in bundle.release.golden:
            _add(archive, GOLDEN + image.name, bundle.golden[image.name])
    return buffer.getvalue()


def unpack(data: bytes) -> Bundle:
    """Raises: UntrustedError: not a bundle, or one that is too large."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if any(member.file_size > LARGEST_MEMBER for member in archive.infolist()):
                raise UntrustedError("release bundle: a member is larger than 64 MiB")
            release = decode(archive.read(RELEASE), Release)
            golden = {image.name: archive.read(GOLDEN + image.name) for image in release.golden}
            return Bundle(release, archive.read(MODEL), golden)
    except (zipfile.BadZipFile, KeyError) as error:
        raise UntrustedError(f"release bundle: {error}; it was not made by `hemaloop release`") from error


def _add(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    archive.writestr(zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0)), data)
