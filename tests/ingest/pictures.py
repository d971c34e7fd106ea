"""Small pictures that pass for fields of a smear: a pale background, and cells with sharp edges."""

import cv2
import numpy as np

from hemaloop.imaging.decode import encode_jpeg


def picture(seed: int, side: int = 160) -> bytes:
    """A JPEG; another seed gives another picture."""
    rng = np.random.default_rng(seed)
    image = np.full((side, side, 3), (225, 215, 220), np.uint8)
    for _ in range(7):
        centre = tuple(int(value) for value in rng.integers(10, side - 10, 2))
        colour = tuple(int(value) for value in rng.integers((90, 40, 120), (190, 130, 200)))
        cv2.circle(image, centre, int(rng.integers(8, 26)), colour, -1)
    grain = rng.normal(0, 6, image.shape)
    return encode_jpeg(np.clip(image + grain, 0, 255).astype(np.uint8), 92)
