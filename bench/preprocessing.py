"""What the steps of preprocessing cost: decoding and a step, against decoding alone; and preparing again.

Steps that come after `resize` work on 128x128 pixels; crops and scale on the whole image.
"""

import hashlib
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

import cv2

from bench.images import fields
from bench.ratio import Ratio, seconds
from hemaloop.config import read_section
from hemaloop.imaging.decode import decode
from hemaloop.inference.preprocess import Preprocessing, preprocess, read_steps, to_input
from hemaloop.inference.steps.catalogue import STEPS
from hemaloop.model.preparation import prepare
from hemaloop.model.prepared import PreparedImage
from hemaloop.model.preprocessing import PrepareParams

QUICK, FULL = 60, 300  # images
SIZE_PX, UM_PER_PX = 128, 0.1
GOAL, STEP_GOAL, AGAIN_GOAL = 1.3, 4.0, 0.25
_OF_WHOLE = ("square", "resize", "scale", "nucleus_centre", "nucleus_crop")  # steps that come before the resizing
_ROUNDS = 3


def run(quick: bool = False) -> list[Ratio]:
    told, images = fields(QUICK if quick else FULL)
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        ours = _processor_seconds(images, _of_params(), _decode_and_resize)
        few = images[:QUICK]  # without a sidecar `scale` takes many times as long as decoding
        steps = [_step(name, few) for name in STEPS if name not in ("square", "resize")]
        # Where the sidecar tells the scale, as it should.
        steps.append(_ratio("scale, told", few, _pipeline(["scale"], UM_PER_PX)))
    finally:
        cv2.setNumThreads(before)
    return [
        Ratio(f"the steps of params.yaml, scale told, on {told}", *ours, "decoding and resizing them", GOAL),
        *steps,
        _again(images),
    ]


def _step(name: str, images: Sequence[bytes]) -> Ratio:
    return _ratio(name, images, _pipeline([name] if name in _OF_WHOLE else ["square", "resize", name]))


def _ratio(name: str, images: Sequence[bytes], ours: Callable[[bytes], object]) -> Ratio:
    return Ratio(f"with {name}", *_processor_seconds(images, ours, decode), "decoding alone", STEP_GOAL)


def _of_params() -> Callable[[bytes], object]:
    """What stage prepare does to each image, told its scale as a sidecar should."""
    steps = read_section(Path(__file__).parents[1] / "params.yaml", "prepare", PrepareParams).preprocessing
    return lambda data: preprocess(decode(data), steps, UM_PER_PX)


def _pipeline(names: Sequence[str], um_per_px: float | None = None) -> Callable[[bytes], object]:
    steps = Preprocessing(read_steps(names), SIZE_PX)
    return lambda data: preprocess(decode(data), steps, um_per_px)


def _decode_and_resize(data: bytes) -> None:
    to_input(decode(data), SIZE_PX)


def _processor_seconds(
    images: Sequence[bytes], ours: Callable[[bytes], object], limit: Callable[[bytes], object]
) -> tuple[float, float]:
    """Medians of what one thread computed, in turns: what else the machine does hardly counts."""
    taken: tuple[list[float], list[float]] = ([], [])
    for _ in range(_ROUNDS):
        for call, so_far in zip((ours, limit), taken, strict=True):
            start = time.thread_time()
            for data in images:
                call(data)
            so_far.append(time.thread_time() - start)
    return median(taken[0]), median(taken[1])


def _again(images: Sequence[bytes]) -> Ratio:
    """Stage prepare where an earlier run prepared all but one image, against the first time."""
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home)
        rows = []
        for number, data in enumerate(images):
            (folder / f"{number}.jpg").write_bytes(data)
            rows.append(
                PreparedImage(hashlib.sha256(data).hexdigest(), "a", "g", "train", "pi-1", "", "", f"{number}.jpg")
            )
        steps = Preprocessing(read_steps(["square", "resize"]), SIZE_PX)

        def once(some: Sequence[PreparedImage]) -> float:
            return seconds(lambda: prepare(some, folder, folder / "prepared", steps, "zero_one", folder / "earlier"))

        first = once(rows[:-1])
        return Ratio(
            f"prepare {len(rows)} images, all but one as before", once(rows), first, "the first time", AGAIN_GOAL
        )
