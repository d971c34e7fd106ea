"""One field: its scale, its white cells, what a model says to each, and what an annotator found."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hemaloop.errors import DataError
from hemaloop.imaging.boxes import Box, Match, match
from hemaloop.imaging.cells import find_white_cells
from hemaloop.imaging.crops import crop_cell
from hemaloop.imaging.decode import Image, decode, encode_png
from hemaloop.imaging.ruler import Scale, estimate
from hemaloop.inference.classifier import Answer, Classifier


@dataclass(frozen=True)
class Annotated:
    """What a person drew around."""

    white: tuple[Box, ...]
    red: tuple[Box, ...]
    problems: tuple[str, ...] = ()  # of boxes that were left out


Annotation = Callable[[Path, int, int], Annotated]  # of a field of this width and height, px


@dataclass(frozen=True)
class Cell:
    box: Box
    answer: Answer | None  # where a model was asked
    is_cut: bool  # by the border


@dataclass(frozen=True)
class Field:
    path: Path
    width: int  # px
    height: int
    scale: Scale | None  # as the image tells it
    um_per_px: float | None  # as it was used: given, else estimated
    cells: tuple[Cell, ...]
    annotated: Annotated | None
    matches: tuple[Match, ...]  # of cells with annotated.white


Keep = Callable[[Field, Image, Sequence[Image]], None]  # a field, its pixels, and its cells' crops


@dataclass(frozen=True)
class Refused:
    path: Path
    reason: str


@dataclass(frozen=True)
class Reader:
    """How fields are read."""

    field_um: float
    iou: float
    um_per_px: float | None = None  # of all fields, where known
    annotation: Annotation | None = None
    classifier: Classifier | None = None
    keep: Keep | None = None  # what to do with the pixels while they are there

    def read(self, path: Path) -> Field | Refused:
        """What a file shows; never raises on its content. Threads may share a reader."""
        try:
            return self._read(path, decode(path.read_bytes()))
        except OSError as error:
            return Refused(path, f"cannot be read: {error.strerror}")
        except DataError as error:
            return Refused(path, str(error))

    def _read(self, path: Path, image: Image) -> Field:
        height, width = image.shape[:2]
        annotated = self.annotation(path, width, height) if self.annotation else None
        scale = estimate(image)
        um_per_px = self.um_per_px or (scale.um_per_px if scale else None)
        boxes = find_white_cells(image, um_per_px) if um_per_px else ()
        crops = [crop_cell(image, box, um_per_px, self.field_um) for box in boxes] if um_per_px else []
        cells = tuple(self._cell(box, crop, um_per_px, (width, height)) for box, crop in zip(boxes, crops, strict=True))
        matches = match(boxes, annotated.white, self.iou) if annotated else ()
        field = Field(path, width, height, scale, um_per_px, cells, annotated, matches)
        if self.keep:
            self.keep(field, image, crops)
        return field

    def _cell(self, box: Box, crop: Image, um_per_px: float | None, size: tuple[int, int]) -> Cell:
        answer = self.classifier.classify(encode_png(crop), um_per_px) if self.classifier else None
        return Cell(box, answer, is_cut(box, *size))


def is_cut(box: Box, width: int, height: int) -> bool:
    """Whether the border of an image of this size runs through a box."""
    return box.left <= 0 or box.top <= 0 or box.right >= width or box.bottom >= height


def round_side(boxes: Sequence[Box], width: int, height: int) -> float | None:
    """Median side in px of the boxes around round, uncut cells; None where there are fewer than three.

    Round: the sides differ by at most 15 %. Annotators' boxes end up to 3 px before the border that cuts the cell.
    """
    inner = [box for box in boxes if min(box.left, box.top, width - box.right, height - box.bottom) > 3]
    sides = sorted((box.width + box.height) / 2 for box in inner if 0.85 <= box.width / box.height <= 1 / 0.85)
    if len(sides) < 3:
        return None
    half = len(sides) // 2
    return sides[half] if len(sides) % 2 else (sides[half - 1] + sides[half]) / 2
