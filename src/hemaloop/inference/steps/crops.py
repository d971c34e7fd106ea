"""Steps that choose which part of an image the network sees."""

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import cv2
import numpy as np

from hemaloop.imaging.decode import Image
from hemaloop.inference.steps.nucleus import find_nucleus
from hemaloop.inference.steps.picture import Picture, within

_LARGEST_GROWTH = 2  # a crop's side is at most so many times the longer side of its image


@dataclass(frozen=True)
class Square:
    """The largest square of the image, in its middle, or as near to the picture's centre as the image allows."""

    name: ClassVar[str] = "square"
    reads_colour: ClassVar[bool] = False
    leaves_colour: ClassVar[bool] = True

    def apply(self, picture: Picture, size_px: int) -> Picture:
        return replace(picture, pixels=middle_square(picture.pixels, picture.centre), centre=None)


@dataclass(frozen=True)
class Resize:
    """To the network's size, whatever the shape: without `square` before it an oblong image is squeezed."""

    name: ClassVar[str] = "resize"
    reads_colour: ClassVar[bool] = False
    leaves_colour: ClassVar[bool] = True

    def apply(self, picture: Picture, size_px: int) -> Picture:
        height, width = picture.pixels.shape[:2]
        um_per_px = picture.um_per_px * height / size_px if picture.um_per_px and height == width else None
        return Picture(resized(picture.pixels, size_px, size_px), um_per_px)


@dataclass(frozen=True)
class Trim:
    """Without a share of each edge: what is burnt into a corner, as a scale bar, must not be learnt."""

    name: ClassVar[str] = "trim"
    reads_colour: ClassVar[bool] = False
    leaves_colour: ClassVar[bool] = True

    top: float = 0.0
    bottom: float = 0.0
    left: float = 0.0
    right: float = 0.0

    def __post_init__(self) -> None:
        for edge in ("top", "bottom", "left", "right"):
            within(self.name, edge, getattr(self, edge), 0, 0.45)

    def apply(self, picture: Picture, size_px: int) -> Picture:
        height, width = picture.pixels.shape[:2]
        top, left = int(self.top * height), int(self.left * width)  # less than half, so that a pixel is left
        bottom, right = height - int(self.bottom * height), width - int(self.right * width)
        return Picture(picture.pixels[top:bottom, left:right], picture.um_per_px)


@dataclass(frozen=True)
class NucleusCentre:
    """Crops that follow have the nucleus in their middle. Without a nucleus: the image's middle, as ever."""

    name: ClassVar[str] = "nucleus_centre"
    reads_colour: ClassVar[bool] = True
    leaves_colour: ClassVar[bool] = True

    def apply(self, picture: Picture, size_px: int) -> Picture:
        nucleus = find_nucleus(picture.pixels)
        return replace(picture, centre=(nucleus.row, nucleus.column)) if nucleus else picture


@dataclass(frozen=True)
class NucleusCrop:
    """A square around the nucleus, as many nuclei wide as told: the nucleus is the ruler.

    What lies beyond the image has the colour of its border. Without a nucleus: the picture as it is.
    """

    name: ClassVar[str] = "nucleus_crop"
    reads_colour: ClassVar[bool] = True
    leaves_colour: ClassVar[bool] = True

    diameters: float = 2.5  # of a disc with the nucleus' area

    def __post_init__(self) -> None:
        within(self.name, "diameters", self.diameters, 1, 20)

    def apply(self, picture: Picture, size_px: int) -> Picture:
        nucleus = find_nucleus(picture.pixels)
        if nucleus is None:
            return picture
        side = max(1, round(self.diameters * nucleus.diameter_px))
        return Picture(crop(picture.pixels, (nucleus.row, nucleus.column), side), picture.um_per_px)


def middle_square(image: Image, centre: tuple[float, float] | None = None) -> Image:
    """A view of the largest square (side, side, 3), the nearest to `centre` that lies within the image."""
    height, width = image.shape[:2]
    side = min(height, width)
    if centre is None:
        top, left = (height - side) // 2, (width - side) // 2
    else:
        top = min(max(round(centre[0] - side / 2), 0), height - side)
        left = min(max(round(centre[1] - side / 2), 0), width - side)
    return image[top : top + side, left : left + side]


def resized(image: Image, height: int, width: int) -> Image:
    """RGB uint8 (height, width, 3)."""
    # Averaging areas is the one that makes no new patterns when shrinking; it cannot grow.
    shrinks = image.shape[0] > height or image.shape[1] > width
    scaled: Image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    return scaled


def crop(image: Image, centre: tuple[float, float], side: int) -> Image:
    """A square around `centre` (row, column); beyond the image it has the colour of the image's border.

    `side` is brought to at most twice the image's longer side, so that no setting fills the memory.
    """
    height, width = image.shape[:2]
    side = min(side, _LARGEST_GROWTH * max(height, width))
    top, left = math.floor(centre[0] - side / 2), math.floor(centre[1] - side / 2)
    inside = image[max(top, 0) : max(top + side, 0), max(left, 0) : max(left + side, 0)]
    if inside.shape[:2] == (side, side):
        return inside
    canvas = np.full((side, side, 3), border_colour(image), np.uint8)
    canvas[max(-top, 0) : max(-top, 0) + inside.shape[0], max(-left, 0) : max(-left, 0) + inside.shape[1]] = inside
    return canvas


def border_colour(image: Image) -> tuple[int, ...]:
    """The median of each channel over the outermost pixels."""
    edges = (image[0], image[-1], image[:, 0], image[:, -1])
    return tuple(int(level) for level in np.median(np.concatenate(edges), axis=0))
