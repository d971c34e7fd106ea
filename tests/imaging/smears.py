"""Encoded images for these tests, drawn once."""

from functools import cache

import cv2
import numpy as np

from hemaloop.imaging.decode import encode_jpeg
from hemaloop.imaging.smear import CLASSES, Slide, draw


@cache
def smear(seed: int = 1) -> bytes:
    return encode_jpeg(draw(CLASSES[seed % len(CLASSES)], Slide.of(seed), seed), 92)


def png(image: np.ndarray) -> bytes:
    return bytes(cv2.imencode(".png", image[:, :, ::-1])[1])
