"""Images at another size."""

import cv2

from hemaloop.imaging.decode import Image


def resized(image: Image, side: int) -> Image:
    """An RGB uint8 image with this shorter side in px; the same object where it has it already."""
    height, width = image.shape[:2]
    scale = side / min(height, width)
    if scale == 1:
        return image
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    other: Image = cv2.resize(image, size, interpolation=interpolation)
    return other
