"""Versions a batch, and is killed on the way: python killed_writer.py FOLDER MARKER SECONDS all|alone.

It dies SECONDS after the command that contains MARKER was started; 'all' takes git or DVC along, as a power cut does,
'alone' leaves them running. MARKER read: at the fifth image. MARKER files:PATH: once five more files are below PATH.
"""

import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from a_project import Project
from some_images import PARAMS, batch, read

from hemaloop.dataset.batch import BatchImage

MANY = 200
FIFTH = 5


def main() -> None:
    folder, marker, seconds, which = sys.argv[1:]
    die = _killer(float(seconds), alone=which == "alone")
    logging.getLogger("hemaloop.dataset.commands").setLevel(logging.DEBUG)
    logging.getLogger("hemaloop.dataset.commands").addHandler(_At(marker, die))
    if marker.startswith("files:"):
        threading.Thread(target=_watch, args=(Path(folder) / marker.removeprefix("files:"), die), daemon=True).start()
    project = Project(Path(folder), Path(folder) / "origin.git", f"file://{folder}/bucket/dvc")
    project.workspace().version(batch("one", MANY), _reader(die) if marker == "read" else read, PARAMS)


def _killer(seconds: float, alone: bool) -> Callable[[], None]:
    def die() -> None:
        time.sleep(seconds)
        os.kill(os.getpid() if alone else 0, signal.SIGKILL)

    return lambda: threading.Thread(target=die).start() if seconds else die()


class _At(logging.Handler):
    def __init__(self, marker: str, die: Callable[[], None]) -> None:
        super().__init__()
        self._marker, self._die = marker, die

    def emit(self, record: logging.LogRecord) -> None:
        words = record.getMessage()
        if words.startswith("run in ") and self._marker in words.split(": ", 1)[1]:
            self._die()


def _reader(die: Callable[[], None]) -> Callable[[BatchImage], bytes]:
    asked = []

    def read_until_the_fifth(image: BatchImage) -> bytes:
        asked.append(image)
        if len(asked) == FIFTH:
            die()
        return read(image)

    return read_until_the_fifth


def _watch(folder: Path, die: Callable[[], None]) -> None:
    before = _files(folder)
    while _files(folder) < before + FIFTH:
        time.sleep(0.001)
    die()


def _files(folder: Path) -> int:
    return sum(len(files) for _, _, files in os.walk(folder))


if __name__ == "__main__":
    main()
