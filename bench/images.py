"""Images to measure with: whole fields where HEMALOOP_TEST_DATA is set, else synthetic smears."""

import os
from pathlib import Path

from hemaloop.imaging.decode import encode_jpeg
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
