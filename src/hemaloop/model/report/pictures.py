"""Test images and what was seen in them, small enough to stand inside a page."""

import base64

import cv2
import numpy as np
import numpy.typing as npt

from hemaloop.imaging.decode import Image, encode_jpeg

SIDE_PX = 192  # of a picture on the page, at most
QUALITY = 85
STRENGTH = 0.75  # of the map where it is strongest
FADED = 0.45  # how much colour an image keeps where nothing speaks for the class
PLACES = (
    ("upper left", "upper edge", "upper right"),
    ("left", "centre", "right"),
    ("lower left", "lower edge", "lower right"),
)

Map = npt.NDArray[np.float32]


def data_address(pixels: Image) -> str:
    """RGB (S, S, 3) as the address of a JPEG that stands in the page itself."""
    return "data:image/jpeg;base64," + base64.b64encode(encode_jpeg(_fitted(pixels), QUALITY)).decode()


def overlay(pixels: Image, strengths: Map) -> Image:
    """The image, greyed, with the places that spoke for the class in bright colours.

    Args:
        pixels: RGB (S, S, 3).
        strengths: (h, w) in [0, 1], laid over the whole image.
    """
    image = _fitted(pixels)
    height, width = image.shape[:2]
    smooth = np.clip(cv2.resize(strengths, (width, height), interpolation=cv2.INTER_CUBIC), 0, 1)
    heat = cv2.cvtColor(cv2.applyColorMap((255 * smooth).astype(np.uint8), cv2.COLORMAP_VIRIDIS), cv2.COLOR_BGR2RGB)
    grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    faded = FADED * image + (1 - FADED) * grey
    opacity = STRENGTH * smooth[:, :, np.newaxis] ** 2  # weak places keep their look
    return np.asarray(np.rint((1 - opacity) * faded + opacity * heat), np.uint8)


def where(strengths: Map) -> str:
    """The ninth of the image that holds most of the map, in words, for who does not see it."""
    if not strengths.any():
        return "nowhere"
    nine = cv2.resize(strengths, (36, 36), interpolation=cv2.INTER_NEAREST).reshape(3, 12, 3, 12).sum(axis=(1, 3))
    row, column = np.unravel_index(int(nine.argmax()), nine.shape)
    return PLACES[row][column]


def _fitted(pixels: Image) -> Image:
    side = pixels.shape[0]
    if side == SIDE_PX:
        return pixels
    way = cv2.INTER_AREA if side > SIDE_PX else cv2.INTER_CUBIC
    fitted: Image = cv2.resize(pixels, (SIDE_PX, SIDE_PX), interpolation=way)
    return fitted
