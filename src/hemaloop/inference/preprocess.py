"""The one way from a decoded image to a model's input; training, evaluation and devices share it."""

import cv2

from hemaloop.imaging.decode import Image


def to_input(image: Image, size_px: int) -> Image:
    """The middle square of an image, scaled.

    Args:
        image: RGB uint8 (H, W, 3), levels 0 to 255; the model rescales inside.
        size_px: the side wanted.

    Returns:
        RGB uint8 (size_px, size_px, 3).
    """
    height, width = image.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = image[top : top + side, left : left + side]
    # Averaging areas is the one that makes no new patterns when shrinking; it cannot grow.
    interpolation = cv2.INTER_AREA if side > size_px else cv2.INTER_LINEAR
    scaled: Image = cv2.resize(square, (size_px, size_px), interpolation=interpolation)
    return scaled
