"""Images that no classifier of blood cells should be sure of."""

from collections.abc import Mapping

import cv2
import numpy as np

from hemaloop.imaging.decode import Image

COUNT = 60  # of each kind
_SIDE = 256  # px


def strangers(seed: int) -> Mapping[str, tuple[Image, ...]]:
    """RGB uint8 (256, 256, 3), `COUNT` of each kind: noise in every pixel, one even colour, clouds of colours."""
    rng = np.random.default_rng(seed)
    return {
        "noise": tuple(rng.integers(0, 256, (_SIDE, _SIDE, 3), np.uint8) for _ in range(COUNT)),
        "even": tuple(np.full((_SIDE, _SIDE, 3), rng.integers(0, 256, 3), np.uint8) for _ in range(COUNT)),
        "clouds": tuple(_clouds(rng) for _ in range(COUNT)),
    }


def _clouds(rng: np.random.Generator) -> Image:
    coarse = rng.integers(0, 256, (6, 6, 3), np.uint8)
    clouds: Image = cv2.resize(coarse, (_SIDE, _SIDE), interpolation=cv2.INTER_CUBIC)
    return clouds
