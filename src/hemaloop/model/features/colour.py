"""Which colour a cell has."""

import cv2
import numpy as np

from hemaloop.inference.steps.picture import to_lab
from hemaloop.model.features.cell import Cell

_RGB, _LAB = ("red", "green", "blue"), ("lightness", "a", "b")


def colour(cell: Cell) -> dict[str, float]:
    """Mean of each RGB channel, mean and standard deviation of each CIELAB channel, and the hue.

    Returns:
        red, green, blue: levels 0 to 255.
        lightness, a, b and lightness_deviation ...: CIELAB (D65), lightness 0 to 100, a and b about -128 to 127.
        hue: atan2(mean b, mean a) in degrees, 0 to 360; of grey it means nothing.

    Source: CIE 15:2004, section 8.2.1.
    """
    inside = cell.pixels[cell.mask]
    lab = to_lab(cell.pixels)[cell.mask] * (100 / 255, 1, 1) - (0, 128, 128)
    means, deviations = lab.mean(axis=0), lab.std(axis=0)
    found = dict(zip(_RGB, map(float, inside.mean(axis=0)), strict=True))
    found |= dict(zip(_LAB, map(float, means), strict=True))
    found |= {f"{name}_deviation": float(value) for name, value in zip(_LAB, deviations, strict=True)}
    return found | {"hue": float(np.degrees(np.arctan2(means[2], means[1])) % 360)}


def grey_levels(cell: Cell) -> cv2.typing.MatLike:
    """Luma (h, w), 0 to 255 (ITU-R BT.601)."""
    return cv2.cvtColor(cell.pixels, cv2.COLOR_RGB2GRAY)
