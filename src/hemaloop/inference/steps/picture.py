"""What the steps of preprocessing hand on to each other."""

from dataclasses import dataclass
from typing import ClassVar, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from hemaloop.errors import DataError
from hemaloop.imaging.decode import Image

Plane = NDArray[np.uint8]  # (H, W)


@dataclass(frozen=True)
class Picture:
    pixels: Image  # RGB uint8 (H, W, 3), at least one pixel
    um_per_px: float | None = None  # micrometres per pixel of `pixels`, where known
    centre: tuple[float, float] | None = None  # row and column that crops keep in their middle; None: the picture's


class Step(Protocol):
    """A frozen dataclass whose fields are the step's settings, each a number with a default."""

    name: ClassVar[str]
    reads_colour: ClassVar[bool]  # it needs the stain's own colours
    leaves_colour: ClassVar[bool]  # after it the stain's own colours are still there

    def apply(self, picture: Picture, size_px: int) -> Picture:
        """A new picture; never an error. What the step does where it cannot do its work is in its docstring."""
        ...


def within(step: str, name: str, value: float, lowest: float, highest: float) -> None:
    """Refuse a setting out of range. Raises: DataError."""
    if not lowest <= value <= highest:  # so written, a value that is no number fails too
        raise DataError(f"step {step}: {name}: wanted {lowest:g} to {highest:g}, got {value:g}")


def whole(step: str, name: str, value: float, lowest: int, highest: int) -> None:
    """Refuse a setting that counts something and is no whole number. Raises: DataError."""
    within(step, name, value, lowest, highest)
    if value != int(value):
        raise DataError(f"step {step}: {name}: wanted a whole number, got {value:g}")


def grey_to_rgb(plane: Plane) -> Image:
    """One channel three times: a network takes three whatever the steps leave."""
    rgb: Image = cv2.cvtColor(plane, cv2.COLOR_GRAY2RGB)
    return rgb


def to_lab(pixels: Image) -> Image:
    """CIELAB in 8 bits: L * 255/100, a + 128, b + 128; integers all the way, so the same on every machine."""
    lab: Image = cv2.cvtColor(pixels, cv2.COLOR_RGB2LAB)
    return lab
