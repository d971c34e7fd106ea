"""Decode every image once, with the code that the device uses, into one array on disk."""

import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from hemaloop.errors import DataError
from hemaloop.files import TEMPORARY
from hemaloop.imaging.decode import decode
from hemaloop.inference.preprocess import Preprocessing, preprocess
from hemaloop.model.earlier import Earlier, Kept, checksum
from hemaloop.model.prepared import (
    INDEX,
    PIXELS,
    STATISTICS,
    TEST,
    TRAIN,
    VALIDATION,
    Pixels,
    PreparedImage,
    Statistics,
    read_rows,
    write_rows,
    write_statistics,
)

_LEAST_STD = 1.0  # levels: a network that divides by the deviation of an even train side divides by something


@dataclass(frozen=True)
class Done:
    """What `prepare` did."""

    images: int
    reused: int  # of them, that an earlier run had prepared in the same way


def read_manifest(path: Path) -> tuple[PreparedImage, ...]:
    """The images that take part: those on a side; what a merge of groups excluded is left out.

    Raises:
        DataError: there is no manifest, or no image takes part.
    """
    if not path.exists():
        raise DataError(f"{path} is not there: run `dvc repro assemble`")
    rows: tuple[PreparedImage, ...] = read_rows(path, PreparedImage)
    images = tuple(row for row in rows if row.side in (TRAIN, VALIDATION, TEST))
    if not images:
        raise DataError(f"{path} names no labelled image: `hemaloop upload` some, or try `make demo`")
    return images


def prepare(
    images: Sequence[PreparedImage],
    root: Path,
    folder: Path,
    preprocessing: Preprocessing,
    scaling: str,
    kept: Path | None = None,
) -> Done:
    """Write <folder>/images.npy, uint8 (N, S, S, 3) RGB, <folder>/index.csv in the same order, and statistics.json.

    Args:
        root: where the images' paths begin.
        scaling: one of `prepared.SCALINGS`, for statistics.json.
        kept: where prepared images are kept for the next run; None: nowhere.

    Raises:
        DataError: an image is not there or cannot be decoded.
    """
    folder.mkdir(parents=True, exist_ok=True)
    size, whole = preprocessing.size_px, folder / PIXELS
    growing = folder / f"{TEMPORARY}{PIXELS}"  # renamed when whole: what is kept may be this very file
    pixels = np.lib.format.open_memmap(growing, mode="w+", dtype=np.uint8, shape=(len(images), size, size, 3))
    earlier = Earlier(kept, preprocessing) if kept else None

    def fill(row: int) -> tuple[bool, Kept]:
        image, path = images[row], root / images[row].image
        found = earlier.find(image.sha256, image.um_per_px) if earlier and path.is_file() else None
        sha256, pixels[row] = _read(path, preprocessing, image.scale) if found is None else (image.sha256, found)
        return found is not None, Kept(sha256, image.um_per_px, checksum(pixels[row]))

    # OpenCV lets go of the interpreter's lock, so threads use every core.
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        filled = list(threads.map(fill, range(len(images))))
    pixels.flush()
    os.replace(growing, whole)
    write_rows(folder / INDEX, images, PreparedImage)
    train = [row for row, image in enumerate(images) if image.side == TRAIN]
    write_statistics(folder / STATISTICS, measure(pixels, train, scaling))
    if earlier:
        earlier.keep(whole, [row for _, row in filled])
    return Done(len(images), sum(found for found, _ in filled))


def measure(pixels: Pixels, rows: Sequence[int], scaling: str) -> Statistics:
    """Mean and standard deviation of each channel over images `rows` of `pixels` (N, S, S, 3).

    Without images: those of [-1, 1], so that only what needs a train side complains of having none.
    """
    if not rows:
        return Statistics(scaling, (127.5,) * 3, (127.5,) * 3)
    of_each = [np.hstack(cv2.meanStdDev(pixels[row])) for row in rows]
    means, stds = np.moveaxis(np.array(of_each), 2, 0)
    mean = means.mean(axis=0)
    std = np.sqrt(np.maximum(0, (stds**2 + means**2).mean(axis=0) - mean**2))
    return Statistics(scaling, _three(mean), _three(np.maximum(std, _LEAST_STD)))


def _three(values: NDArray[np.float64]) -> tuple[float, float, float]:
    """Rounded, so that the order of adding shows in no file."""
    red, green, blue = (round(float(value), 4) for value in values)
    return red, green, blue


def _read(path: Path, preprocessing: Preprocessing, um_per_px: float | None) -> tuple[str, Pixels]:
    """SHA-256 of an image's bytes, and what is made of them."""
    try:
        data = path.read_bytes()
        return hashlib.sha256(data).hexdigest(), preprocess(decode(data), preprocessing, um_per_px)
    except FileNotFoundError:
        raise DataError(f"{path} is not there: fetch the images with `dvc pull`") from None
    except DataError as error:
        raise DataError(f"{path}: {error}: fetch it anew with `dvc pull`, or `dvc repro assemble`") from error
