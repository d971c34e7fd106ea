"""A field with what was found in it drawn on it."""

import cv2

from hemaloop.fields.field import Cell, Field
from hemaloop.imaging.boxes import Box
from hemaloop.imaging.decode import Image

Colour = tuple[int, int, int]  # RGB

_FOUND: Colour = (0, 140, 60)
_WRONG: Colour = (214, 39, 40)  # found, but not annotated
_ANNOTATED: Colour = (255, 176, 0)
_INK: Colour = (20, 20, 20)
_PAPER: Colour = (255, 255, 255)
_BAR_UM = 10
_FONT = cv2.FONT_HERSHEY_SIMPLEX


def draw_field(field: Field, image: Image) -> Image:
    """Found cells (green; red where nobody annotated one) over the annotated ones (amber), and a bar of 10 um."""
    drawn = image.copy()
    thick = max(1, round(min(image.shape[:2]) / 240))
    for box in field.annotated.white if field.annotated else ():
        _rectangle(drawn, box, _ANNOTATED, thick)
    ious = {each.found: each.iou for each in field.matches}
    for number, cell in enumerate(field.cells):
        right = field.annotated is None or number in ious
        _rectangle(drawn, cell.box, _FOUND if right else _WRONG, thick)
        _write(drawn, _told(cell, ious.get(number)), cell.box.left, cell.box.top - 3 * thick, thick)
    if field.um_per_px:
        _bar(drawn, field, field.um_per_px, thick)
    return drawn


def _told(cell: Cell, iou: float | None) -> str:
    label = f"{cell.answer.label} {cell.answer.probabilities[cell.answer.label]:.0%}" if cell.answer else ""
    return " ".join(part for part in (label, f"IoU {iou:.2f}" if iou is not None else "") if part)


def _bar(image: Image, field: Field, um_per_px: float, thick: int) -> None:
    """In the lower left corner: how long 10 um are, and what tells it."""
    left, bottom, length = 8 * thick, image.shape[0] - 8 * thick, round(_BAR_UM / um_per_px)
    cv2.line(image, (left, bottom), (left + length, bottom), _PAPER, 4 * thick)
    cv2.line(image, (left, bottom), (left + length, bottom), _INK, 2 * thick)
    scale = field.scale
    told = f"{scale.low:.3f} to {scale.high:.3f} by {scale.count} {scale.by}" if scale else "given"
    if scale and scale.um_per_px != um_per_px:
        told = "given"
    _write(image, f"{_BAR_UM} um; {um_per_px:.3f} um/px ({told})", left, bottom - 4 * thick, thick)


def _rectangle(image: Image, box: Box, colour: Colour, thick: int) -> None:
    cv2.rectangle(image, (box.left, box.top), (box.right - 1, box.bottom - 1), colour, thick)


def _write(image: Image, text: str, left: int, bottom: int, thick: int) -> None:
    """Ink with a rim of paper: to be read on any ground."""
    size = 0.25 * (thick + 0.5)
    (width, height), _ = cv2.getTextSize(text, _FONT, size, 1)
    at = (max(0, min(left, image.shape[1] - width)), max(height, bottom))
    cv2.putText(image, text, at, _FONT, size, _PAPER, 2 + thick, cv2.LINE_AA)
    cv2.putText(image, text, at, _FONT, size, _INK, max(1, thick // 2), cv2.LINE_AA)
