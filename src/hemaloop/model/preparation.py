"""Decode every image once, with the code that the device uses, into one array on disk."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hemaloop.errors import DataError
from hemaloop.imaging.decode import decode
from hemaloop.inference.preprocess import to_input
from hemaloop.model.prepared import INDEX, PIXELS, TEST, TRAIN, VALIDATION, Pixels, PreparedImage, read_rows, write_rows


@dataclass(frozen=True)
class ManifestImage(PreparedImage):
    """A row of data/manifest.csv, as far as the model needs it."""

    image: str  # path from the repository's root


def read_manifest(path: Path) -> tuple[ManifestImage, ...]:
    """The images that take part: those on a side; what a merge of groups excluded is left out.

    Raises:
        DataError: there is no manifest, or no image takes part.
    """
    if not path.exists():
        raise DataError(f"{path} is not there: run `dvc repro assemble`")
    rows: tuple[ManifestImage, ...] = read_rows(path, ManifestImage)
    images = tuple(row for row in rows if row.side in (TRAIN, VALIDATION, TEST))
    if not images:
        raise DataError(f"{path} names no labelled image: `hemaloop upload` some, or try `make demo`")
    return images


def prepare(images: Sequence[ManifestImage], root: Path, folder: Path, size_px: int) -> None:
    """Write <folder>/images.npy, uint8 (N, size_px, size_px, 3) RGB, and <folder>/index.csv in the same order.

    Raises:
        DataError: an image is not there or cannot be decoded.
    """
    folder.mkdir(parents=True, exist_ok=True)
    shape = (len(images), size_px, size_px, 3)
    pixels = np.lib.format.open_memmap(folder / PIXELS, mode="w+", dtype=np.uint8, shape=shape)

    def fill(row: int) -> None:
        pixels[row] = _read(root / images[row].image, size_px)

    # OpenCV lets go of the interpreter's lock, so threads use every core.
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        for _ in threads.map(fill, range(len(images))):
            pass
    pixels.flush()
    write_rows(folder / INDEX, images, PreparedImage)


def _read(path: Path, size_px: int) -> Pixels:
    try:
        return to_input(decode(path.read_bytes()), size_px)
    except FileNotFoundError:
        raise DataError(f"{path} is not there: fetch the images with `dvc pull`") from None
    except DataError as error:
        raise DataError(f"{path}: {error}: fetch it anew with `dvc pull`, or `dvc repro assemble`") from error
