"""Images on disk between the camera and the bucket, and between the camera and the classifier.

<spool>/upload/     an image, its sidecar and its worth, until image and sidecar are in the bucket
<spool>/classify/   the same image (a link: it lies on the disk once), until the model has answered

Each queue empties by itself: without a network the model still answers, without a model images still go up.
The sidecar is written before the image and removed after it: an image waits for upload if and only if it is there.
"""

import hashlib
import logging
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path

from hemaloop.device.capture.cameras.frame import Frame
from hemaloop.device.capture.dropping import Waiting, victims
from hemaloop.device.home import DeviceSettings
from hemaloop.errors import DataError, TransientError
from hemaloop.files import sync_folder, write_atomically
from hemaloop.protocol.documents import decode, encode
from hemaloop.protocol.keys import IMAGE_SUFFIXES, UploadKey
from hemaloop.protocol.sidecar import Sidecar

log = logging.getLogger(__name__)

RESERVE = 16 * 2**20  # bytes of the disk that are left free, for updates, results and the system


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
    """Time and a short hash of the camera's own name for the frame.

    The name is never repeated, so the id is unique whatever the clock says; the time only puts them in order.
    """
    return (
        f"{frame.captured_at.astimezone(UTC):%Y%m%dT%H%M%S.%fZ}-{hashlib.sha256(frame.name.encode()).hexdigest()[:16]}"
    )


class Spool:
    def __init__(self, folder: Path, limit_bytes: int) -> None:
        self._folder = folder
        self._upload = folder / "upload"
        self._classify = folder / "classify"
        self._limit = limit_bytes
        for each in (self._upload, self._classify):
            each.mkdir(parents=True, exist_ok=True)
        self._bytes = sum(each.bytes for each in self.waiting())

    def sweep(self) -> None:
        """Remove what a kill left half-done."""
        for path in [*self._upload.glob(".tmp-*"), *self._classify.glob(".tmp-*")]:
            path.unlink()
        images = {path.stem for path in _images(self._upload)}
        for path in [*self._upload.glob("*.json"), *self._upload.glob("*.worth")]:
            if path.stem not in images:
                path.unlink()

    def add(
        self,
        frame: Frame,
        settings: DeviceSettings,
        worth: float | None = None,
        give_up: Callable[[Waiting], None] = lambda _: None,
    ) -> str:
        """Spool a frame; the same frame again is the same capture.

        Args:
            worth: of a frame that may drive out others that are worth no more; None: it waits for room.
            give_up: told of each image that is driven out, before it is.

        Raises:
            DataError: the image alone is larger than the whole spool.
            TransientError: the spool is full of images that are not yet uploaded, and worth more.
        """
        capture = capture_id(frame)
        self._remove(capture)
        self._make_room(frame, settings.id, worth, give_up)
        sidecar = settings.sidecar(hashlib.sha256(frame.data).hexdigest(), frame.captured_at)
        write_atomically(self._upload / f"{capture}.json", encode(sidecar))
        (self._upload / f"{capture}.worth").write_text(f"{worth or 0:.3f}")
        image = self._upload / f"{capture}{frame.suffix}"
        write_atomically(image, frame.data)
        os.link(image, self._classify / image.name)
        sync_folder(self._classify)
        self._bytes += len(frame.data)
        return capture

    def to_upload(self) -> list[Spooled]:
        """Oldest first."""
        return [Spooled(path.stem, path, path.with_suffix(".json")) for path in _images(self._upload)]

    def uploaded(self, spooled: Spooled) -> None:
        """Image and sidecar are in the bucket."""
        size = spooled.image.stat().st_size
        spooled.image.unlink()
        spooled.sidecar.unlink()
        spooled.image.with_suffix(".worth").unlink(missing_ok=True)
        if not (self._classify / spooled.image.name).exists():
            self._bytes -= size

    def to_classify(self) -> list[Path]:
        """Oldest first; the file's stem is the capture id."""
        return _images(self._classify)

    def classified(self, image: Path) -> None:
        size = image.stat().st_size
        image.unlink()
        if not (self._upload / image.name).exists():
            self._bytes -= size

    def usage(self) -> Usage:
        upload, classify = _images(self._upload), _images(self._classify)
        return Usage(len(upload), len(classify), self._bytes, self._limit)

    def waiting(self) -> list[Waiting]:
        """Each image once, whatever it waits for."""
        upload = {path.name: path for path in _images(self._upload)}
        both = {path.name: path for path in _images(self._classify)} | upload
        return [
            Waiting(path.stem, path.stat().st_size, _worth(path), name not in upload) for name, path in both.items()
        ]

    def _make_room(self, frame: Frame, device: str, worth: float | None, give_up: Callable[[Waiting], None]) -> None:
        if len(frame.data) > self._limit:
            raise DataError(f"{frame.name}: {len(frame.data)} bytes, larger than the whole spool ({self._limit} bytes)")
        # A disk that others fill makes the spool's share smaller.
        share = min(self._limit, self._bytes + max(0, shutil.disk_usage(self._folder).free - RESERVE))
        if (needed := self._bytes + len(frame.data) - share) <= 0:
            return
        given = victims(self.waiting(), needed, worth)
        if given is None:
            raise TransientError(
                f"spool of {device} is full ({self._bytes} of {share} bytes are not yet uploaded): no image is taken "
                "until some are; check the network, free some of the disk, or set a larger spool_bytes in device.toml"
            )
        for each in given:
            lost = "will not be classified here" if each.uploaded else "is given up: it will never be uploaded"
            log.warning("spool of %s is full: %s %s", device, each.capture, lost)
            give_up(each)
            self._remove(each.capture)

    def _remove(self, capture: str) -> None:
        """An image, wherever it waits; an image that is not there is none."""
        paths = [
            folder / f"{capture}{suffix}" for folder in (self._upload, self._classify) for suffix in IMAGE_SUFFIXES
        ]
        there = [path for path in paths if path.exists()]
        if there:
            self._bytes -= there[0].stat().st_size
        for path in there:
            path.unlink()
        for suffix in (".json", ".worth"):
            (self._upload / f"{capture}{suffix}").unlink(missing_ok=True)


def _images(folder: Path) -> list[Path]:
    return sorted(
        path for path in folder.iterdir() if path.suffix in IMAGE_SUFFIXES and not path.name.startswith(".tmp-")
    )


def _worth(image: Path) -> float:
    """0 where it is not known: it is written without making sure of it."""
    try:
        return float(image.with_suffix(".worth").read_text())
    except (FileNotFoundError, ValueError):
        return 0.0
