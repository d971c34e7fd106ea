"""Steps that look at each pixel and its neighbours."""

from dataclasses import dataclass, replace
from typing import ClassVar

import cv2
import numpy as np

from hemaloop.inference.steps.picture import Picture, grey_to_rgb, to_lab, within


@dataclass(frozen=True)
class LabA:
    """The A channel of CIELAB (green to red), where stained nuclei stand out, three times.

    Levels are a + 128; `low` to `high` are stretched to 0 to 255, the same for every image. (S3.)
    """

    name: ClassVar[str] = "lab_a"
    reads_colour: ClassVar[bool] = True
    leaves_colour: ClassVar[bool] = False

    low: float = 0
    high: float = 255

    def __post_init__(self) -> None:
        within(self.name, "low", self.low, 0, 254)
        within(self.name, "high", self.high, self.low + 1, 255)

    def apply(self, picture: Picture, size_px: int) -> Picture:
        stretched = np.clip(np.rint((np.arange(256) - self.low) * 255 / (self.high - self.low)), 0, 255)
        channel = cv2.LUT(cv2.extractChannel(to_lab(picture.pixels), 1), stretched.astype(np.uint8))
        return replace(picture, pixels=grey_to_rgb(channel))


@dataclass(frozen=True)
class Gaussian:
    """A Gaussian filter against noise. (S3, S5.)"""

    name: ClassVar[str] = "gaussian"
    reads_colour: ClassVar[bool] = False
    leaves_colour: ClassVar[bool] = True

    sigma_px: float = 1.0

    def __post_init__(self) -> None:
        within(self.name, "sigma_px", self.sigma_px, 0.1, 20)

    def apply(self, picture: Picture, size_px: int) -> Picture:
        return replace(picture, pixels=cv2.GaussianBlur(picture.pixels, (0, 0), self.sigma_px))


@dataclass(frozen=True)
class Edges:
    """Edges, 255 on 0, three times; `gaussian` goes before it. (S5.)

    Source: Canny 1986, "A computational approach to edge detection"; Sobel 3x3, |gx| + |gy|.
    """

    name: ClassVar[str] = "edges"
    reads_colour: ClassVar[bool] = False
    leaves_colour: ClassVar[bool] = False

    low: float = 60  # gradient from which an edge goes on
    high: float = 140  # gradient from which an edge begins

    def __post_init__(self) -> None:
        within(self.name, "low", self.low, 0, 2040)
        within(self.name, "high", self.high, self.low, 2040)

    def apply(self, picture: Picture, size_px: int) -> Picture:
        grey = cv2.cvtColor(picture.pixels, cv2.COLOR_RGB2GRAY)
        return replace(picture, pixels=grey_to_rgb(cv2.Canny(grey, self.low, self.high)))
