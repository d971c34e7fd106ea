"""The images of a data set in class folders, and what they tell of themselves: number, hash, look."""

import csv
import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from hemaloop.dataset.records import to_csv
from hemaloop.errors import ConfigError, DataError
from hemaloop.files import write_atomically
from hemaloop.imaging.decode import decode
from hemaloop.imaging.fingerprint import distances, fingerprints, numbers
from hemaloop.ingest.duplicates import confirms

VARIABLE = "HEMALOOP_TEST_DATA"
_SUFFIXES = (".jpg", ".jpeg", ".png")
_AT_ONCE = 256  # images whose distances to all others are looked at together


@dataclass(frozen=True)
class FolderImage:
    """An image of a class folder."""

    path: str  # from the data set's folder, with "/"
    number: int  # of its file's name: the order in which images were taken, as far as anybody knows
    sha256: str
    phash: str
    phash_fine: str

    @property
    def folder(self) -> str:
        return self.path.split("/", 1)[0]


def data_folder(name: str, environ: Mapping[str, str] = os.environ) -> Path:
    """Where a data set is. Raises: ConfigError: HEMALOOP_TEST_DATA is not set, or does not hold it."""
    root = environ.get(VARIABLE, "")
    if not root:
        raise ConfigError(f"{VARIABLE} is not set: set it to the folder that holds {name}/<class>/*.jpg")
    folder = Path(root).absolute() / name
    if not folder.is_dir():
        raise ConfigError(f"{VARIABLE}: there is no folder {folder}")
    return folder


def read_images(folder: Path, index: Path) -> tuple[FolderImage, ...]:
    """Every image of every class folder, in order of path; `index` keeps what was found, for the same files.

    Raises:
        DataError: there is no image, or one cannot be decoded.
    """
    paths = sorted(path for path in folder.glob("*/*") if path.suffix.lower() in _SUFFIXES)
    if not paths:
        raise DataError(f"{folder} holds no <class>/<image>.jpg")
    files = [(path.relative_to(folder).as_posix(), path.stat()) for path in paths]
    listing = hashlib.sha256(repr([(name, stat.st_size, stat.st_mtime_ns) for name, stat in files]).encode())
    kept = index / f"{folder.name}-{listing.hexdigest()[:16]}.csv"
    if kept.exists():
        return _from_csv(kept)
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        images = tuple(threads.map(lambda path: _read(folder, path), paths))
    write_atomically(kept, to_csv(images, FolderImage))
    return images


def file_number(name: str) -> int:
    """The last digits of a file's name, 0 where it has none: WBC-Malignant-Pre-017.jpg is 17, BA_580.jpg is 580."""
    digits = re.findall(r"\d+", Path(name).stem)
    return int(digits[-1]) if digits else 0


def digest_of(images: Sequence[FolderImage]) -> str:
    """One SHA-256 for a set of images: says whether two results speak of the same data."""
    lines = sorted(f"{image.path} {image.sha256}" for image in images)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def near_pairs(images: Sequence[FolderImage], bits: int) -> list[tuple[int, int]]:
    """Which two images look alike, as ingest finds them: within `bits` of 64, and the finer hash confirms it."""
    hashes = numbers([image.phash for image in images])
    pairs = []
    for start in range(0, len(images), _AT_ONCE):
        rows, columns = np.nonzero(distances(hashes[start : start + _AT_ONCE, np.newaxis], hashes) <= bits)
        pairs += [(start + int(row), int(column)) for row, column in zip(rows, columns, strict=True)]
    return [
        (one, other)
        for one, other in pairs
        if one < other and confirms(images[one].phash_fine, images[other].phash_fine)
    ]


def _from_csv(path: Path) -> tuple[FolderImage, ...]:
    with path.open(newline="", encoding="utf-8") as stream:
        rows = csv.DictReader(stream)
        return tuple(
            FolderImage(row["path"], int(row["number"]), row["sha256"], row["phash"], row["phash_fine"]) for row in rows
        )


def _read(root: Path, path: Path) -> FolderImage:
    content = path.read_bytes()
    try:
        grey = cv2.cvtColor(decode(content), cv2.COLOR_RGB2GRAY)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    phash, fine = fingerprints(np.asarray(grey, np.uint8))
    name = path.relative_to(root).as_posix()
    return FolderImage(name, file_number(path.name), hashlib.sha256(content).hexdigest(), phash, fine)
