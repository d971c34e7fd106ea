"""The step that brings every image to the same micrometres per pixel: most of what laboratories differ in is scale."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from hemaloop.imaging.decode import Image
from hemaloop.imaging.ruler import estimate
from hemaloop.inference.steps.crops import border_colour, middle_square, resized
from hemaloop.inference.steps.picture import Picture, within


@dataclass(frozen=True)
class Scale:
    """The network's square at a common scale, around the picture's centre; beyond the image, its border's colour.

    The image's own scale is the one that its sidecar tells, else the one that red cells or the nucleus tell
    (imaging.ruler). Where neither is known, or the estimate's high end is more than `widest` times its low end:
    the largest square in the middle, resized, as `square` and `resize` do.
    """

    name: ClassVar[str] = "scale"
    reads_colour: ClassVar[bool] = True
    leaves_colour: ClassVar[bool] = True

    um_per_px: float = 0.25  # of what the network sees: 128 px are 32 micrometres, a white cell and its surroundings
    widest: float = 4.0

    def __post_init__(self) -> None:
        within(self.name, "um_per_px", self.um_per_px, 0.01, 10)
        within(self.name, "widest", self.widest, 1, 100)

    def apply(self, picture: Picture, size_px: int) -> Picture:
        found = picture.um_per_px or self._estimated(picture.pixels)
        if found is None:
            return Picture(resized(middle_square(picture.pixels, picture.centre), size_px, size_px))
        height, width = picture.pixels.shape[:2]
        centre = picture.centre or (height / 2, width / 2)
        return Picture(at_scale(picture.pixels, centre, found / self.um_per_px, size_px), self.um_per_px)

    def _estimated(self, pixels: Image) -> float | None:
        scale = estimate(pixels)
        if scale is None or scale.high > self.widest * scale.low:
            return None
        return scale.um_per_px


def at_scale(image: Image, centre: tuple[float, float], zoom: float, size_px: int) -> Image:
    """The image `zoom` times as large, and of it the square (size_px, size_px, 3) around `centre`.

    Only what is seen is resized, so that no scale, however wrong, costs time or memory.
    """
    rows, top = _window(centre[0], image.shape[0], zoom, size_px)
    columns, left = _window(centre[1], image.shape[1], zoom, size_px)
    seen = image[rows, columns]
    height = min(max(1, round(seen.shape[0] * zoom)), size_px - top)
    width = min(max(1, round(seen.shape[1] * zoom)), size_px - left)
    seen = resized(seen, height, width)
    if seen.shape[:2] == (size_px, size_px):
        return seen
    canvas = np.full((size_px, size_px, 3), border_colour(image), np.uint8)
    canvas[top : top + height, left : left + width] = seen
    return canvas


def _window(middle: float, length: int, zoom: float, size_px: int) -> tuple[slice, int]:
    """Of one axis: which pixels of the image are seen, and where in the square they begin."""
    half = size_px / zoom / 2
    first = min(max(0, round(middle - half)), length - 1)
    last = max(min(length, round(middle + half)), first + 1)
    begin = round(max(0.0, size_px / 2 - (middle - first) * zoom))
    return slice(first, last), min(begin, size_px - 1)
