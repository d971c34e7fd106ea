"""Finding white cells in fields, their scale told or estimated, against only decoding the same JPEGs."""

import cv2

from bench.images import enlarged, fields
from bench.ratio import Ratio, compare
from hemaloop.imaging.cells import find_white_cells
from hemaloop.imaging.decode import decode
from hemaloop.imaging.ruler import estimate

_FIELD = (640, 480)
_UM_PER_PX = 0.077  # about that of the BCCD fields


def run(quick: bool = True) -> list[Ratio]:
    told, encoded = fields(40 if quick else 300)
    if "synthetic" in told:
        told, encoded = f"{told}, enlarged to {_FIELD[0]}x{_FIELD[1]}", enlarged(encoded, _FIELD)
    images = [decode(data) for data in encoded]
    work = {
        "white cells, scale told": lambda: [find_white_cells(image, _UM_PER_PX) for image in images],
        "scale": lambda: [estimate(image) for image in images],
        "white cells, scale estimated": lambda: [find_white_cells(image) for image in images],
    }
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        times = {name: compare(call, lambda: [decode(data) for data in encoded], 3) for name, call in work.items()}
    finally:
        cv2.setNumThreads(before)
    return [
        Ratio(f"{name}: {told}", ours, limit, "decoding the same JPEGs", 10.0) for name, (ours, limit) in times.items()
    ]
