"""Encoded images to pixels: one way, for the cloud and for the device."""

import cv2
import numpy as np
from numpy.typing import NDArray

from hemaloop.errors import DataError
from hemaloop.imaging import container

Image = NDArray[np.uint8]  # RGB (H, W, 3)

# OpenCV has no names for the reduced ones in RGB; a reduced grey flag is a reduced colour flag less its colour bit.
_FLAGS = {
    1: cv2.IMREAD_COLOR_RGB,
    2: cv2.IMREAD_COLOR_RGB | cv2.IMREAD_REDUCED_GRAYSCALE_2,
    4: cv2.IMREAD_COLOR_RGB | cv2.IMREAD_REDUCED_GRAYSCALE_4,
    8: cv2.IMREAD_COLOR_RGB | cv2.IMREAD_REDUCED_GRAYSCALE_8,
}
_MESSAGES = {
    container.EMPTY: "the file is empty",
    container.NOT_AN_IMAGE: "the file is not an image: wanted a JPEG or a PNG",
    container.TRUNCATED: "the image is truncated: its end is missing; send it again",
    container.UNDECODABLE: "the image cannot be decoded: its data are damaged; send it again",
    container.TOO_LARGE: f"the image is too large: at most {container.LARGEST_PIXELS:,} pixels",
    container.BOMB: "the image costs far more to read than it shows: it was made to do harm",
    container.ANIMATED: "the file holds several pictures: send one picture a file",
    container.POLYGLOT: "the file is an image and another file at once: send the image alone",
}


def decode(data: bytes) -> Image:
    """Decode a whole JPEG or PNG, turned as its EXIF says.

    Returns:
        RGB uint8 (H, W, 3), also for grey images and those with transparency.

    Raises:
        DataError: it is empty, no image, truncated, damaged, too large, animated, or more than an image.
    """
    image, problem = decode_pixels(data, container.read_container(data))
    if image is None:
        raise DataError(_MESSAGES[problem])
    return image


def decode_pixels(data: bytes, found: container.Container, shrink: int = 1) -> tuple[Image | None, str]:
    """The pixels of a file whose container was read, or None and the problem.

    Args:
        shrink: 1, 2, 4 or 8; a JPEG is then decoded at that part of its size, for a part of the time.
    """
    image = None if found.problem else _pixels(data, shrink)
    if image is None:
        return None, found.problem or container.UNDECODABLE
    if found.format == "jpeg" and _is_filled(image, max(1, 8 // shrink)):
        return None, container.TRUNCATED
    return image, ""


def _pixels(data: bytes, shrink: int) -> Image | None:
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), _FLAGS[shrink])
    except cv2.error:
        return None
    return image


def _is_filled(image: Image, block: int) -> bool:
    """Whether libjpeg made up the last block, because the data ended before it though an end marker followed.

    It fills with exactly 128 in every channel; EXIF may have turned the last block to any corner.
    """
    ends = ((0, slice(0, block)), (-1, slice(-block, None)))
    corner = any(
        image[y, x, 0] == 128 and bool((image[rows, columns] == 128).all()) for y, rows in ends for x, columns in ends
    )
    return corner and not bool((image == 128).all())


def work_in_callers_thread() -> None:
    """For this whole process: OpenCV starts no threads of its own, since each image has one already."""
    cv2.setNumThreads(1)


def encode_jpeg(image: Image, quality: int = 90) -> bytes:
    """A JPEG of an RGB uint8 (H, W, 3) image; quality 1 to 100."""
    _, encoded = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    return bytes(encoded)


def encode_png(image: Image) -> bytes:
    """A PNG of an RGB uint8 (H, W, 3) image: every pixel as it was."""
    _, encoded = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    return bytes(encoded)
