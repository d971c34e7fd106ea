"""Measuring images against only decoding them, on all cores."""

import os
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np

from bench.images import fields
from bench.ratio import Ratio, compare
from hemaloop.imaging.measure import measure


def run() -> list[Ratio]:
    told, images = fields(300)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        ours, limit = compare(lambda: list(pool.map(measure, images)), lambda: list(pool.map(_decode, images)))
    return [Ratio(f"measure {told}", ours, limit, "decoding the same JPEGs", 2.0)]


def _decode(data: bytes) -> None:
    cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
