"""Images to measure with: whole fields where HEMALOOP_TEST_DATA is set, else synthetic smears."""

import os
from collections.abc import Callable, Sequence
from itertools import islice, product
from pathlib import Path

import cv2
import numpy as np

from hemaloop.imaging.decode import Image, decode, encode_jpeg
from hemaloop.imaging.smear import CLASSES, Slide, draw


def fields(count: int) -> tuple[str, list[bytes]]:
    """What they are, and `count` encoded images."""
    data = os.environ.get("HEMALOOP_TEST_DATA")
    if data:
        paths = sorted((Path(data) / "bccd-fields/images").glob("*.jpg"))[:count]
        return f"{len(paths)} BCCD fields, 640x480", [path.read_bytes() for path in paths]
    drawn = [
        encode_jpeg(draw(CLASSES[number % len(CLASSES)], Slide.of(number // 8), number)) for number in range(count)
    ]
    return f"{count} synthetic smears, 360x360", drawn


def enlarged(images: Sequence[bytes], size: tuple[int, int]) -> list[bytes]:
    """The same fields, (width, height) px, encoded anew."""
    return [encode_jpeg(cv2.resize(decode(data), size, interpolation=cv2.INTER_CUBIC)) for data in images]


# A field lies on the slide in no particular way: turned or mirrored it is another field, and no near-duplicate.
_TURNS: tuple[Callable[[Image], Image], ...] = (
    lambda image: image,
    lambda image: image[::-1],
    lambda image: image[:, ::-1],
    lambda image: image[::-1, ::-1],
    lambda image: image.transpose(1, 0, 2),
    lambda image: image[::-1].transpose(1, 0, 2),
    lambda image: image[:, ::-1].transpose(1, 0, 2),
    lambda image: image[::-1, ::-1].transpose(1, 0, 2),
)


def turned_fields(count: int) -> tuple[str, list[bytes]]:
    """As `fields`; where there are too few, they come again, turned by quarters or mirrored, and encoded anew."""
    told, found = fields(count)
    if len(found) >= count:
        return told, found
    again = (_turned(data, turn) for turn, data in islice(product(_TURNS, found), len(found), count))
    turned = found + list(again)
    return f"{len(turned)} fields (turned copies of {told})", turned


def speckles(number: int, side: int = 160) -> bytes:
    """A small picture that passes for a field: a pale background and cells with sharp edges, drawn in a millisecond."""
    rng = np.random.default_rng(number)
    image = np.full((side, side, 3), (225, 215, 220), np.uint8)
    for _ in range(7):
        centre = tuple(int(value) for value in rng.integers(10, side - 10, 2))
        colour = tuple(int(value) for value in rng.integers((90, 40, 120), (190, 130, 200)))
        cv2.circle(image, centre, int(rng.integers(8, 26)), colour, -1)
    grain = rng.normal(0, 6, image.shape)
    return encode_jpeg(np.clip(image + grain, 0, 255).astype(np.uint8), 92)


def _turned(data: bytes, turn: Callable[[Image], Image]) -> bytes:
    return encode_jpeg(np.ascontiguousarray(turn(decode(data))), 88)
