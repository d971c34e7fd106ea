"""Uploads from a folder, as a device would send them: the image, then its sidecar."""

import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from hemaloop.errors import ConfigError
from hemaloop.protocol.documents import encode
from hemaloop.protocol.keys import IMAGE_SUFFIXES, NAME, UploadKey, sidecar_key
from hemaloop.protocol.sidecar import Sidecar
from hemaloop.storage import Bucket


@dataclass(frozen=True)
class Subject:
    """What is known of all images of a folder."""

    device: str
    slide: str | None = None
    patient: str | None = None
    stain: str | None = None
    um_per_px: float | None = None
    labelled_by: str | None = None


@dataclass(frozen=True)
class Capture:
    path: Path
    captured_at: datetime
    label: str | None


def plan(folder: Path, classes: tuple[str, ...] | None) -> list[Capture]:
    """The images below `folder`; labelled by the folder that each lies in, when `classes` are given.

    Raises: ConfigError: no folder, no images, or a folder that is no class.
    """
    if not folder.is_dir():
        raise ConfigError(f"{folder} is no folder: name one with images in it")
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file())
    if not paths:
        raise ConfigError(f"{folder} has no images ({', '.join(IMAGE_SUFFIXES)})")
    return [capture(path, _label(path, classes)) for path in paths]


def capture(path: Path, label: str | None) -> Capture:
    """A file's modification time is when it was captured: nothing better is known."""
    return Capture(path, datetime.fromtimestamp(path.stat().st_mtime, UTC), label)


def send(bucket: Bucket, image: Capture, subject: Subject) -> str:
    """Upload one image; its key. The same file gives the same key: sending it again changes nothing."""
    data = image.path.read_bytes()
    sha256 = hashlib.sha256(data).hexdigest()
    sidecar = Sidecar(
        sha256=sha256,
        device=subject.device,
        captured_at=image.captured_at,
        slide=subject.slide,
        patient=subject.patient,
        stain=subject.stain,
        um_per_px=subject.um_per_px,
        label=image.label,
        labelled_by=(subject.labelled_by or "folder name") if image.label else None,
    )
    key = str(_key(image, subject.device, sha256))
    bucket.write(key, data)
    bucket.write(sidecar_key(key), encode(sidecar))
    return key


def check_device(device: str) -> str:
    """Raises: ConfigError: not a name that can stand in a key."""
    if not NAME.fullmatch(device):
        raise ConfigError(f"device {device!r}: wanted letters, digits, '_', '.' and '-', at most 100")
    return device


def _key(image: Capture, device: str, sha256: str) -> UploadKey:
    stem = re.sub(r"[^A-Za-z0-9_.-]", "_", image.path.stem).lstrip("_.-")[:100]
    name = f"{stem}-{sha256[:12]}" if stem else sha256[:12]
    return UploadKey(check_device(device), image.captured_at.date(), name, image.path.suffix.lower())


def _label(path: Path, classes: tuple[str, ...] | None) -> str | None:
    if classes is None:
        return None
    if path.parent.name not in classes:
        raise ConfigError(
            f"{path}: folder {path.parent.name!r} is no class; params.yaml knows {', '.join(classes)}: "
            "rename the folder, add the class, or upload without --labels"
        )
    return path.parent.name
