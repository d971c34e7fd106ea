"""A row of features an image."""

import csv
import dataclasses
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

from hemaloop.errors import DataError
from hemaloop.imaging.decode import Image, decode
from hemaloop.model.features.cell import find_cell
from hemaloop.model.features.colour import colour, grey_levels
from hemaloop.model.features.shape import shape
from hemaloop.model.features.statistics import statistics
from hemaloop.model.features.texture import texture


@dataclass(frozen=True)
class Features:
    """Of the cell in one image; an image without a cell has none. Units: see the functions that make them."""

    image: str
    problem: str = ""  # why there are no features
    area: float | None = None
    perimeter: float | None = None
    compactness: float | None = None
    uniformity: float | None = None
    energy: float | None = None
    second_angular_moment: float | None = None
    mean: float | None = None
    variance: float | None = None
    skewness: float | None = None
    red: float | None = None
    green: float | None = None
    blue: float | None = None
    lightness: float | None = None
    a: float | None = None
    b: float | None = None
    lightness_deviation: float | None = None
    a_deviation: float | None = None
    b_deviation: float | None = None
    hue: float | None = None


def features_of(name: str, image: Image) -> Features:
    """The features of the most stained cell of an RGB image (H, W, 3)."""
    cell = find_cell(image)
    if cell is None:
        return Features(name, "no cell")
    grey = grey_levels(cell)
    found: dict[str, Any] = shape(cell.mask) | texture(grey, cell.mask) | statistics(grey[cell.mask]) | colour(cell)
    return replace(Features(name), **{key: round(value, 6) for key, value in found.items()})


def read_features(paths: Sequence[Path]) -> Iterable[Features]:
    """Of each file, in order; one that cannot be read has a problem instead."""
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        yield from threads.map(_of_file, paths)


def write_features(stream: IO[str], rows: Iterable[Features]) -> tuple[int, int]:
    """As CSV, a column a field. Returns rows written, and how many of them have a problem."""
    names = [field.name for field in dataclasses.fields(Features)]
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(names)
    written = failed = 0
    for row in rows:
        values = (getattr(row, name) for name in names)
        writer.writerow(["" if value is None else value for value in values])
        written, failed = written + 1, failed + bool(row.problem)
    return written, failed


def _of_file(path: Path) -> Features:
    try:
        return features_of(str(path), decode(path.read_bytes()))
    except OSError as error:
        return Features(str(path), f"cannot be read: {error.strerror}")
    except DataError as error:
        return Features(str(path), str(error))
