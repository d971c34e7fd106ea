"""An image to upload, and what is said of it."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from hemaloop.errors import DataError
from hemaloop.imaging.boxes import Box
from hemaloop.protocol.keys import IMAGE_SUFFIXES
from hemaloop.protocol.sidecar import Sidecar

_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_.-]")


@dataclass(frozen=True)
class Item:
    """A file, or the part of it that `cut` names, and its sidecar, whose hash is filled in when it is read."""

    path: Path
    said: Sidecar
    cut: Box | None = None


@dataclass(frozen=True)
class Subject:
    """What is known of all images of an import; where an image says otherwise itself, that counts."""

    device: str
    slide: str | None = None
    patient: str | None = None
    stain: str | None = None
    um_per_px: float | None = None
    labelled_by: str | None = None
    captured_at: datetime | None = None  # none: each file's time of modification, as nothing better is known

    def __post_init__(self) -> None:
        """Raises: DataError: a value that cannot stand in a sidecar."""
        at = self.captured_at or datetime.fromtimestamp(0, UTC)
        Sidecar("", self.device or "unknown", at, self.slide, self.patient, self.stain, self.um_per_px)


class UnknownLabelError(DataError):
    """A label that is neither a class nor mapped to one."""

    def __init__(self, label: str, classes: tuple[str, ...]) -> None:
        super().__init__(
            f"label {label!r} is no class of params.yaml ({', '.join(classes)}): "
            f"say what it means with --map '{label}=CLASS', or leave it out with --map '{label}='"
        )


class Problems:
    """Every reason not to import, each with its place; the same unknown label is said once."""

    def __init__(self) -> None:
        self._found: dict[str, list[str]] = {}  # problem -> where

    @contextmanager
    def at(self, place: str) -> Iterator[None]:
        """Note what is wrong in this block, and go on after it."""
        try:
            yield
        except UnknownLabelError as error:
            self._found.setdefault(str(error), []).append(place)
        except DataError as error:
            self._found.setdefault(f"{place}: {error}", [])

    def lines(self) -> tuple[str, ...]:
        return tuple(
            f"{places[0]}{f' and {len(places) - 1} more' if places[1:] else ''}: {problem}" if places else problem
            for problem, places in self._found.items()
        )


@dataclass(frozen=True)
class Plan:
    """What an import would send, and every reason not to."""

    items: tuple[Item, ...] = ()
    problems: tuple[str, ...] = ()
    left_out: int = 0


@dataclass(frozen=True)
class Labels:
    """The classes of params.yaml, and what other people call them; a name that means "" is left out."""

    classes: tuple[str, ...]
    names: Mapping[str, str] = field(default_factory=dict)

    def translate(self, name: str) -> str:
        """The class that a name means, or "". Raises: UnknownLabelError."""
        label = self.names.get(name, name)
        if label and label not in self.classes:
            raise UnknownLabelError(label, self.classes)
        return label


def describe(path: Path, subject: Subject, label: str | None = None, labelled_by: str = "") -> Item:
    """A file with what is known of it."""
    return Item(
        path,
        Sidecar(
            sha256="",
            device=subject.device,
            captured_at=subject.captured_at or datetime.fromtimestamp(path.stat().st_mtime, UTC),
            slide=subject.slide,
            patient=subject.patient,
            stain=subject.stain,
            um_per_px=subject.um_per_px,
            label=label,
            labelled_by=(subject.labelled_by or labelled_by) if label else None,
        ),
    )


def image_files(folder: Path) -> list[Path]:
    """The images below a folder, in order. Raises: DataError: no folder, or none in it."""
    if not folder.is_dir():
        raise DataError(f"{folder} is no folder: name one with images in it")
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file())
    if not paths:
        raise DataError(f"{folder} has no images ({', '.join(IMAGE_SUFFIXES)})")
    return paths


def name_of(path: Path) -> str:
    """A file's name as it may stand in a key or be a pseudonym; "" where nothing of it may."""
    return _NOT_IN_NAMES.sub("_", path.stem).lstrip("_.-")[:100]
