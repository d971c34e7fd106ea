"""Prepared images: one array on disk that every later stage maps into memory, and an index with a row an image."""

import csv
import dataclasses
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hemaloop.errors import DataError

TRAIN, VALIDATION, TEST = "train", "validation", "test"
PIXELS, INDEX, STATISTICS = "images.npy", "index.csv", "statistics.json"
SCALINGS = MINUS_ONE_ONE, ZERO_ONE, MEAN_STD = "minus_one_one", "zero_one", "mean_std"

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class PreparedImage:
    sha256: str
    label: str
    group: str
    side: str  # train, validation or test
    device: str
    stain: str  # "" where unknown
    um_per_px: str = ""  # micrometres per pixel of the original, "" where unknown
    image: str = ""  # path of the original, from the folder that the stages run in

    @property
    def scale(self) -> float | None:
        """`um_per_px` as `preprocess` and `Classifier.classify` take it."""
        return float(self.um_per_px) if self.um_per_px else None


@dataclass(frozen=True)
class Statistics:
    """How the network's first layer scales pixels, and the mean and standard deviation that `mean_std` scales by."""

    scaling: str  # one of SCALINGS
    mean: tuple[float, float, float]  # of red, green and blue on the train side, levels 0 to 255
    std: tuple[float, float, float]


@dataclass(frozen=True)
class Samples:
    """The images of one side; pixels are read when they are taken."""

    pixels: Pixels  # (all images, S, S, 3) RGB
    rows: npt.NDArray[np.intp]  # (n,) where this side's images are in `pixels`
    labels: npt.NDArray[np.intp]  # (n,) index of the class
    images: tuple[PreparedImage, ...]  # n of them
    classes: int

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, positions: npt.NDArray[np.intp]) -> Pixels:
        """Images (len(positions), S, S, 3) uint8, by position within this side."""
        return np.asarray(self.pixels[self.rows[positions]])

    def batches(self, images: int) -> Iterator[Pixels]:
        """All images in order, `images` at a time."""
        for start in range(0, len(self), images):
            yield self.take(np.arange(start, min(start + images, len(self))))

    def counts(self) -> npt.NDArray[np.intp]:
        """Images of each class (classes,)."""
        return np.bincount(self.labels, minlength=self.classes)


@dataclass(frozen=True)
class Prepared:
    pixels: Pixels  # (N, S, S, 3) RGB, mapped from the file
    images: tuple[PreparedImage, ...]  # N of them, in the same order
    statistics: Statistics

    @property
    def size_px(self) -> int:
        return int(self.pixels.shape[1])

    def side(self, side: str, classes: Sequence[str]) -> Samples:
        """The images of one side, labelled by their place in `classes`.

        Raises:
            DataError: the side is empty, or has a label that is no class.
        """
        rows = [row for row, image in enumerate(self.images) if image.side == side]
        images = tuple(self.images[row] for row in rows)
        if not rows:
            raise DataError(f"no labelled image is on the {side} side: label or upload images of more slides")
        unknown = sorted({image.label for image in images} - set(classes))
        if unknown:
            raise DataError(
                f"labels {', '.join(unknown)} are not among the classes of params.yaml: add or relabel them"
            )
        labels = [classes.index(image.label) for image in images]
        return Samples(self.pixels, np.array(rows), np.array(labels), images, len(classes))


def read_prepared(folder: Path) -> Prepared:
    """Map what the stage `prepare` wrote.

    Raises:
        DataError: it is not there, or the array and the index do not belong together.
    """
    try:
        pixels = np.load(folder / PIXELS, mmap_mode="r")
        images = read_rows(folder / INDEX, PreparedImage)
        statistics = _read_statistics(folder / STATISTICS)
    except (FileNotFoundError, ValueError, KeyError) as error:
        raise DataError(f"{folder} is missing or broken ({error}): run `dvc repro prepare`") from error
    if len(pixels) != len(images):
        raise DataError(f"{folder}: {len(pixels)} images but {len(images)} rows: run `dvc repro -f prepare`")
    return Prepared(pixels, images, statistics)


def write_statistics(path: Path, statistics: Statistics) -> None:
    path.write_text(json.dumps(dataclasses.asdict(statistics), indent=2) + "\n")


def _read_statistics(path: Path) -> Statistics:
    values = json.loads(path.read_text())
    (red, green, blue), (red_std, green_std, blue_std) = values["mean"], values["std"]
    return Statistics(values["scaling"], (red, green, blue), (red_std, green_std, blue_std))


def read_rows(path: Path, cls: Any) -> tuple[Any, ...]:
    """A row of a CSV as `cls`, a dataclass of strings; other columns are ignored.

    Raises:
        DataError: a column is missing.
    """
    names = [field.name for field in dataclasses.fields(cls)]
    with path.open(newline="", encoding="utf-8") as stream:
        reader = csv.DictReader(stream)
        missing = sorted(set(names) - set(reader.fieldnames or ()))
        if missing:
            raise DataError(
                f"{path}: column {', '.join(missing)} is missing: it is written by a stage; run `dvc repro`"
            )
        return tuple(cls(**{name: row[name] or "" for name in names}) for row in reader)


def write_rows(path: Path, rows: Sequence[Any], cls: Any) -> None:
    """Dataclasses of strings and numbers as CSV, a column a field."""
    names = [field.name for field in dataclasses.fields(cls)]
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(names)
        writer.writerows([getattr(row, name) for name in names] for row in rows)
