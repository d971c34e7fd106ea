"""Images on disk between the camera and the bucket, and between the bucket and the classifier.

<spool>/upload/     an image and its sidecar, until both are in the bucket
<spool>/classify/   an image that is in the bucket and waits for the model

The sidecar is written before the image and removed after it: an image is spooled if and only if it is there.
"""

import hashlib
import logging
import os
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path

from hemaloop.device.camera import Frame
from hemaloop.device.home import DeviceSettings
from hemaloop.errors import DataError, TransientError
from hemaloop.files import sync_folder, write_atomically
from hemaloop.protocol.documents import decode, encode
from hemaloop.protocol.keys import IMAGE_SUFFIXES, UploadKey
from hemaloop.protocol.sidecar import Sidecar

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Spooled:
    capture: str
    image: Path
    sidecar: Path

    def key(self) -> str:
        """Where in the bucket it goes: the same after a kill, so that an upload repeated is one upload."""
        sidecar = decode(self.sidecar.read_bytes(), Sidecar)
        day = sidecar.captured_at.astimezone(UTC).date()
        return str(UploadKey(sidecar.device, day, self.capture, self.image.suffix))


@dataclass(frozen=True)
class Usage:
    to_upload: int  # images
    to_classify: int  # images
    bytes: int
    limit_bytes: int


def capture_id(frame: Frame) -> str:
    """Time and a short hash; the camera's name is in it, so that two equal images are two captures."""
    digest = hashlib.sha256(frame.name.encode() + b"\0" + frame.data).hexdigest()
    return f"{frame.captured_at.astimezone(UTC):%Y%m%dT%H%M%S.%fZ}-{digest[:8]}"


class Spool:
    def __init__(self, folder: Path, limit_bytes: int) -> None:
        self._upload = folder / "upload"
        self._classify = folder / "classify"
        self._limit = limit_bytes
        for each in (self._upload, self._classify):
            each.mkdir(parents=True, exist_ok=True)
        self._bytes = _bytes(_images(self._upload)) + _bytes(_images(self._classify))

    def sweep(self) -> None:
        """Remove what a kill left half-done."""
        for path in [*self._upload.glob(".tmp-*"), *self._classify.glob(".tmp-*")]:
            path.unlink()
        images = {path.stem for path in _images(self._upload)}
        for sidecar in self._upload.glob("*.json"):
            if sidecar.stem not in images:
                sidecar.unlink()

    def add(self, frame: Frame, settings: DeviceSettings) -> str:
        """Spool a frame; the same frame again is the same capture.

        Raises:
            DataError: the image alone is larger than the whole spool.
            TransientError: the spool is full of images that are not yet uploaded.
        """
        capture = capture_id(frame)
        self._make_room(frame, settings.id)
        sidecar = settings.sidecar(hashlib.sha256(frame.data).hexdigest(), frame.captured_at)
        write_atomically(self._upload / f"{capture}.json", encode(sidecar))
        image = self._upload / f"{capture}{frame.suffix}"
        before = image.stat().st_size if image.exists() else 0
        write_atomically(image, frame.data)
        self._bytes += len(frame.data) - before
        return capture

    def to_upload(self) -> list[Spooled]:
        """Oldest first."""
        return [Spooled(path.stem, path, path.with_suffix(".json")) for path in _images(self._upload)]

    def uploaded(self, spooled: Spooled) -> None:
        """Image and sidecar are in the bucket: the image now waits for the model."""
        os.replace(spooled.image, self._classify / spooled.image.name)
        sync_folder(self._classify)
        spooled.sidecar.unlink()

    def to_classify(self) -> list[Path]:
        """Oldest first; the file's stem is the capture id."""
        return _images(self._classify)

    def classified(self, image: Path) -> None:
        self._bytes -= image.stat().st_size
        image.unlink()

    def usage(self) -> Usage:
        upload, classify = _images(self._upload), _images(self._classify)
        return Usage(len(upload), len(classify), self._bytes, self._limit)

    def _make_room(self, frame: Frame, device: str) -> None:
        if len(frame.data) > self._limit:
            raise DataError(f"{frame.name}: {len(frame.data)} bytes, larger than the whole spool ({self._limit} bytes)")
        if self._bytes + len(frame.data) <= self._limit:
            return
        for path in self.to_classify():
            # Nothing is lost: this image is in the bucket, and only its classification here falls away.
            log.warning("spool of %s is full: %s will not be classified here", device, path.stem)
            self.classified(path)
            if self._bytes + len(frame.data) <= self._limit:
                return
        raise TransientError(
            f"spool of {device} is full ({self._bytes} of {self._limit} bytes are not yet uploaded): no image is taken "
            "until some are; check the network, or set a larger spool_bytes in device.toml"
        )


def _images(folder: Path) -> list[Path]:
    return sorted(
        path for path in folder.iterdir() if path.suffix in IMAGE_SUFFIXES and not path.name.startswith(".tmp-")
    )


def _bytes(paths: list[Path]) -> int:
    return sum(path.stat().st_size for path in paths)
