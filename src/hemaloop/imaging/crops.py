"""Squares of a common field of view around cells."""

import cv2

from hemaloop.imaging.boxes import Box
from hemaloop.imaging.decode import Image


def crop_cell(image: Image, box: Box, um_per_px: float, field_um: float) -> Image:
    """The square of `field_um` micrometres around the middle of a box; what lies outside is the image's reflection.

    Args:
        image: RGB uint8 (H, W, 3).
        um_per_px: micrometres per pixel of `image`; the crop has the same.

    Returns:
        RGB uint8 (S, S, 3), S = field_um / um_per_px, at least 1.
    """
    side = max(1, round(field_um / um_per_px))
    x, y = box.middle
    return crop_square(image, round(x - side / 2), round(y - side / 2), side)


def crop_square(image: Image, left: int, top: int, side: int) -> Image:
    """A square of `side` pixels, wherever it lies; outside of the image, its reflection (as often as it takes)."""
    height, width = image.shape[:2]
    right, bottom = left + side, top + side
    around = (max(0, -top), max(0, bottom - height), max(0, -left), max(0, right - width))
    if not any(around):
        return image[top:bottom, left:right].copy()
    padded = cv2.copyMakeBorder(
        image, *around, cv2.BORDER_REFLECT_101 if min(height, width) > 1 else cv2.BORDER_REPLICATE
    )
    square: Image = padded[top + around[0] : bottom + around[0], left + around[2] : right + around[2]]
    return square.copy()
