"""What git keeps of a batch: <id>.csv, a row an image, and <id>.links.csv, a row a link."""

import csv
import dataclasses
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from hemaloop.errors import DataError

TRAIN, VALIDATION, TEST, EXCLUDED = "train", "validation", "test", "excluded"
SIDES = (TRAIN, VALIDATION, TEST)

_LINKS = ".links.csv"

Record = TypeVar("Record", "SealedImage", "SealedLink")


@dataclass(frozen=True)
class SealedImage:
    """An image of a sealed batch, with its group and the side that was decided for the group, once and for all."""

    sha256: str
    suffix: str
    label: str | None
    labelled_by: str | None
    group: str
    side: str
    device: str
    slide: str | None
    patient: str | None
    stain: str | None
    um_per_px: float | None
    captured_at: datetime
    upload: str


@dataclass(frozen=True)
class SealedLink:
    """`group` and the group of image `sha256` are one; device to captured_at are where that was seen."""

    group: str
    sha256: str
    reason: str
    device: str
    slide: str | None
    patient: str | None
    captured_at: datetime


@dataclass(frozen=True)
class History:
    """Every sealed image and link of a revision, by batch id, in order of the ids."""

    images: dict[str, tuple[SealedImage, ...]]
    links: dict[str, tuple[SealedLink, ...]]

    def all_images(self) -> Iterable[SealedImage]:
        return (image for images in self.images.values() for image in images)

    def all_links(self) -> Iterable[SealedLink]:
        return (link for links in self.links.values() for link in links)


def read_history(folder: Path) -> History:
    """Read every batch of `folder`, data/batches of a clone.

    Raises:
        DataError: a file is not as `to_csv` writes it.
    """
    return read_batches(folder.glob("*.csv"))


def read_batches(paths: Iterable[Path]) -> History:
    """Read some files of some batches. Raises: DataError: a file is not as `to_csv` writes it."""
    images, links = {}, {}
    for path in sorted(paths):
        if path.name.endswith(_LINKS):
            links[path.name.removesuffix(_LINKS)] = _read(path, SealedLink)
        else:
            images[path.stem] = _read(path, SealedImage)
    return History(images, links)


def images_path(folder: Path, batch: str) -> Path:
    return folder / f"{batch}.csv"


def links_path(folder: Path, batch: str) -> Path:
    return folder / f"{batch}{_LINKS}"


def to_csv(records: Sequence[Any], cls: type[Any]) -> bytes:
    """Frozen dataclasses as CSV, times in UTC: the same records give the same bytes."""
    buffer = io.StringIO()
    names = [field.name for field in dataclasses.fields(cls)]
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([_text(getattr(record, name)) for name in names] for record in records)
    return buffer.getvalue().encode()


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    return str(value)


def _read(path: Path, cls: type[Record]) -> tuple[Record, ...]:
    names = [field.name for field in dataclasses.fields(cls)]
    with path.open(newline="", encoding="utf-8") as stream:
        rows = csv.reader(stream)
        head = next(rows, [])
        if head != names:
            raise DataError(f"{path}: wanted the columns {','.join(names)}, got {','.join(head)}: restore it from git")
        return tuple(_parse(row, cls, names, f"{path} line {rows.line_num}") for row in rows)


def _parse(row: list[str], cls: type[Record], names: list[str], where: str) -> Record:
    if len(row) != len(names):
        raise DataError(f"{where}: wanted {len(names)} values, got {len(row)}: restore it from git")
    values: dict[str, Any] = {name: text or None for name, text in zip(names, row, strict=True)}
    try:
        values["captured_at"] = datetime.fromisoformat(values["captured_at"] or "")
        if values.get("um_per_px") is not None:
            values["um_per_px"] = float(values["um_per_px"])
    except ValueError as error:
        raise DataError(f"{where}: {error}: restore it from git") from error
    if values.get("side", TRAIN) not in SIDES:
        raise DataError(f"{where}: side {values['side']!r}: wanted one of {', '.join(SIDES)}")
    return cls(**values)
