"""A small picture of an image, for people to look at."""

import cv2

from hemaloop.imaging.container import read_container
from hemaloop.imaging.decode import Image, decode_pixels, encode_jpeg

SIDE_PX = 160  # the longer side
_QUALITY = 70


def thumbnail(data: bytes) -> bytes | None:
    """A small JPEG, without the metadata of the image; None where that cannot be decoded."""
    found = read_container(data)
    shrink = next((part for part in (8, 4, 2) if min(found.width, found.height) >= part * SIDE_PX), 1)
    image, _ = decode_pixels(data, found, shrink)
    return None if image is None else encode_jpeg(_small(image), _QUALITY)


def _small(image: Image) -> Image:
    height, width = image.shape[:2]
    scale = SIDE_PX / max(height, width)
    if scale >= 1:
        return image
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small: Image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return small
