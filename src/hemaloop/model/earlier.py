"""Prepared images of earlier runs, so that preparing costs as much as there is new.

<folder>/<what prepared them>-<what they are>/{images.npy, index.csv}: never DVC's, which removes a stage's outputs
before the stage runs. An entry is found by the image's own bytes, its scale, the steps, and the code and libraries
that ran them; a row whose checksum is wrong is no row. Only convenience: anything here may be deleted at any time.
"""

import hashlib
import logging
import os
import platform
import shutil
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np

from hemaloop import imaging, inference
from hemaloop.errors import DataError
from hemaloop.files import TEMPORARY
from hemaloop.inference.preprocess import Preprocessing
from hemaloop.model.prepared import INDEX, PIXELS, Pixels, read_rows, write_rows
from hemaloop.protocol.documents import encode

log = logging.getLogger(__name__)

_MOST = 2  # entries; the newest is a second name of what the stage wrote, and takes no room of its own


@dataclass(frozen=True)
class Kept:
    """A row of an entry's index."""

    sha256: str  # of the bytes that were decoded
    um_per_px: str  # "" where unknown
    crc32: str  # of the prepared pixels


class Earlier:
    """Looks images up, and keeps the new ones. Threads may share it."""

    def __init__(self, folder: Path, preprocessing: Preprocessing) -> None:
        self._folder = folder
        self._name = name_of(preprocessing)
        self._rows: dict[tuple[str, str], tuple[Pixels, int, str]] = {}
        for path in sorted(folder.glob(f"{self._name}-*")):
            self._read(path)

    def find(self, sha256: str, um_per_px: str) -> Pixels | None:
        """The prepared pixels (S, S, 3), or None."""
        found = self._rows.get((sha256, um_per_px))
        if found is None:
            return None
        pixels, row, crc32 = found
        return pixels[row] if checksum(pixels[row]) == crc32 else None

    def keep(self, pixels: Path, rows: Sequence[Kept]) -> None:
        """Keep a whole array for the next run, and forget all but the newest entries. A full disk is no error."""
        place = self._folder / f"{self._name}-{hashlib.sha256(encode([asdict(row) for row in rows])).hexdigest()[:16]}"
        try:
            if place.exists():
                os.utime(place)
            else:
                self._write(place, pixels, rows)
            entries = sorted(self._folder.iterdir(), key=lambda entry: entry.stat().st_mtime)
            for old in entries[:-_MOST]:
                shutil.rmtree(old, ignore_errors=True)
        except OSError as error:
            log.warning("%s: prepared images are not kept for the next run: %s", self._folder, error)

    def _write(self, place: Path, pixels: Path, rows: Sequence[Kept]) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        growing = Path(tempfile.mkdtemp(prefix=TEMPORARY, dir=self._folder))
        try:
            os.link(pixels, growing / PIXELS)
        except OSError:  # a file system without second names
            shutil.copyfile(pixels, growing / PIXELS)
        write_rows(growing / INDEX, rows, Kept)
        os.rename(growing, place)

    def _read(self, path: Path) -> None:
        try:
            pixels = np.load(path / PIXELS, mmap_mode="r")
            rows: tuple[Kept, ...] = read_rows(path / INDEX, Kept)
        except (OSError, ValueError, DataError) as error:
            log.warning("%s is broken and is not used: %s", path, error)
            return
        for number, row in enumerate(rows[: len(pixels)]):
            self._rows[row.sha256, row.um_per_px] = pixels, number, row.crc32


def checksum(pixels: Pixels) -> str:
    return f"{zlib.crc32(pixels.tobytes()):08x}"


def name_of(preprocessing: Preprocessing) -> str:
    """A hash of all that decides what preprocessing makes of an image: the steps, their code, libraries, processor."""
    told = {
        "steps": [asdict(step) for step in preprocessing.steps],
        "size_px": preprocessing.size_px,
        "code": [hashlib.sha256(path.read_bytes()).hexdigest() for path in _code()],
        "libraries": [cv2.__version__, np.__version__, platform.machine()],
    }
    return hashlib.sha256(encode(told)).hexdigest()[:16]


def _code() -> Iterator[Path]:
    for package in (imaging, inference):
        yield from sorted(Path(package.__path__[0]).rglob("*.py"))
