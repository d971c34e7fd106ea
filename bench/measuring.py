"""Measuring images against only decoding them, and against CleanVision on the same files."""

import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import cv2
import numpy as np

from bench.images import enlarged, fields
from bench.ratio import Ratio, compare
from hemaloop.imaging.measure import measure

CLEANVISION = Path(".venv-bench/bin/python")  # `make bench` installs it
RUNNER = Path(__file__).parent / "run_cleanvision.py"
FIELD, LARGE = (640, 480), (1600, 1200)


def run() -> list[Ratio]:
    told, images = fields(300)
    if "synthetic" in told:
        told, images = f"{told}, enlarged to {FIELD[0]}x{FIELD[1]}", enlarged(images, FIELD)
    large = enlarged(images[:40], LARGE)
    sets = {told: images, f"{len(large)} of them at {LARGE[0]}x{LARGE[1]}": large}
    with _one_opencv_thread():
        ratios = [ratio for told, images in sets.items() for ratio in _against_decoding(told, images)]
        if CLEANVISION.exists():
            ratios += [_against_cleanvision(told, images[:100]) for told, images in sets.items()]
    return ratios


@contextmanager
def _one_opencv_thread() -> Iterator[None]:
    """There is an image for every core: OpenCV's own threads would only get in their way."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)


def _against_decoding(told: str, images: Sequence[bytes]) -> list[Ratio]:
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        ours, limit = compare(lambda: list(pool.map(measure, images)), lambda: list(pool.map(_decode, images)))
    alone, alone_limit = _processor_seconds(lambda: list(map(measure, images)), lambda: list(map(_decode, images)))
    return [
        Ratio(f"measure {told}", ours, limit, "decoding the same JPEGs", 2.0),
        Ratio(f"measure {told}, one thread's processor time", alone, alone_limit, "decoding the same JPEGs", 2.0),
    ]


def _processor_seconds(ours: Callable[[], object], limit: Callable[[], object]) -> tuple[float, float]:
    """Medians of what one thread computed: what else the machine does hardly counts."""
    taken: tuple[list[float], list[float]] = ([], [])
    for _ in range(3):
        for call, seconds in zip((ours, limit), taken, strict=True):
            start = time.thread_time()
            call()
            seconds.append(time.thread_time() - start)
    return median(taken[0]), median(taken[1])


def _against_cleanvision(told: str, images: Sequence[bytes]) -> Ratio:
    """Both read the same files with all cores; what it takes to start CleanVision is not counted."""
    with tempfile.TemporaryDirectory() as home, ThreadPoolExecutor(os.cpu_count()) as pool:
        paths = [Path(home) / f"{number:04d}.jpg" for number in range(len(images))]
        for path, data in zip(paths, images, strict=True):
            path.write_bytes(data)
        ours, _ = compare(lambda: list(pool.map(lambda path: measure(path.read_bytes()), paths)), lambda: None)
        theirs = min(_cleanvision_seconds(home) for _ in range(2))
    return Ratio(f"measure the first {len(images)} of {told}", ours, theirs, "CleanVision on the same files", 1 / 8)


def _cleanvision_seconds(folder: str) -> float:
    command = [str(CLEANVISION), str(RUNNER), folder, str(os.cpu_count())]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(done.stdout.rsplit("seconds ", 1)[1])


def _decode(data: bytes) -> None:
    cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
