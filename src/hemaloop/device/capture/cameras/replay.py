"""A set that is shown as if a camera took it now: a folder of images, or a video."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2

from hemaloop.device.capture.cameras.frame import Frame
from hemaloop.device.capture.cameras.usb import opened, taken
from hemaloop.device.home import Clock
from hemaloop.errors import ConfigError
from hemaloop.protocol.keys import IMAGE_SUFFIXES


class ReplayCamera:
    """The set once, from its first image to its last, `rate` a second and for `seconds` in each round."""

    keeps = False

    def __init__(
        self,
        path: Path,
        rate: float,
        seconds: float,
        clock: Clock,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._path, self._rate, self._seconds = path, rate, seconds
        self._clock, self._sleep = clock, sleep
        self._shown = 0

    def frames(self) -> Iterator[Frame]:
        """Raises: ConfigError: there is no such folder or video, or OpenCV cannot read it."""
        images = self._folder() if self._path.is_dir() else self._video()
        for _ in range(max(1, round(self._rate * self._seconds))):
            if (image := next(images, None)) is None:
                return
            suffix, data = image
            self._shown += 1
            yield Frame(f"{self._path}:{self._shown}", self._clock(), suffix, data)
            self._sleep(1 / self._rate)

    def deliver(self, frame: Frame) -> None:
        """What was shown has passed."""

    def _folder(self) -> Iterator[tuple[str, bytes]]:
        paths = sorted(path for path in self._path.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES)
        for path in paths[self._shown :]:
            yield path.suffix.lower(), path.read_bytes()

    def _video(self) -> Iterator[tuple[str, bytes]]:
        """Of a video's own frames only as many as the rate asks for."""
        if not self._path.is_file():
            raise ConfigError(f"camera: there is no folder and no video {self._path}: mend `camera` in device.toml")
        with opened(str(self._path), cv2.CAP_ANY, f"replay:{self._path}") as capture:
            step = max(1, round((capture.get(cv2.CAP_PROP_FPS) or self._rate) / self._rate))
            number = 0
            while capture.grab():
                if number >= self._shown * step and number % step == 0:
                    yield ".jpg", taken(capture)
                number += 1
