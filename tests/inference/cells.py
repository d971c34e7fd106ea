"""A drawn blood film: a purple nucleus and pink red cells on white glass, at any scale and in any light."""

import cv2
import numpy as np

GLASS, RED_CELL, NUCLEUS = (240, 238, 235), (205, 150, 150), (110, 60, 150)
NUCLEUS_UM, RED_CELL_UM = 9.0, 7.5


def film(um_per_px: float = 0.1, side_um: float = 30.0, nucleus_at: tuple[float, float] = (0.5, 0.5)) -> np.ndarray:
    """RGB; `nucleus_at`: row and column as shares of the side."""
    side = round(side_um / um_per_px)
    image = np.full((side, side, 3), GLASS, np.uint8)
    for row, column in ((0.15, 0.2), (0.85, 0.2), (0.2, 0.85), (0.85, 0.85)):
        _disc(image, row, column, RED_CELL_UM / um_per_px, RED_CELL)
    _disc(image, *nucleus_at, NUCLEUS_UM / um_per_px, NUCLEUS)
    return image


def purple(image: np.ndarray) -> np.ndarray:
    """Which pixels are of the nucleus (H, W)."""
    return np.asarray(image[:, :, 1] < 105) & (image[:, :, 2] > 100)


def _disc(image: np.ndarray, row: float, column: float, diameter: float, colour: tuple[int, int, int]) -> None:
    side = len(image)
    centre = (round(column * side), round(row * side))
    cv2.circle(image, centre, round(diameter / 2), colour, cv2.FILLED)
