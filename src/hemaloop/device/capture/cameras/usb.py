"""A microscope on USB, through Video4Linux and OpenCV."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import cv2

from hemaloop.device.capture.cameras.frame import Frame
from hemaloop.device.home import Clock
from hemaloop.errors import ConfigError, TransientError
from hemaloop.imaging.decode import encode_jpeg

QUALITY = 90  # of the JPEG that stands for what a camera gave as pixels
_SETTLING = 5  # pictures thrown away: exposure and white balance find their values


class UsbCamera:
    """Open for `seconds` of each round only: another program may have it between two."""

    keeps = False

    def __init__(
        self,
        device: str,
        size: tuple[int, int],
        rate: float,
        seconds: float,
        clock: Clock,
        now: Callable[[], float] = time.monotonic,
        backend: int = cv2.CAP_V4L2,
    ) -> None:
        """`device`: a number, or a path as /dev/video0; `size`: (width, height) px; `rate`: frames a second."""
        self._device, self._size, self._backend = device, size, backend
        self._rate, self._seconds, self._clock, self._now = rate, seconds, clock, now

    def frames(self) -> Iterator[Frame]:
        """Raises:
        ConfigError: there is no such device, it is in use, or it has no pictures of that size.
        TransientError: it stopped giving pictures.
        """
        source = int(self._device) if self._device.isdecimal() else self._device
        with opened(source, self._backend, f"usb:{self._device}") as capture:
            self._ask_for_size(capture)
            for _ in range(_SETTLING):
                capture.grab()
            yield from self._frames(capture)

    def deliver(self, frame: Frame) -> None:
        """What was shown has passed."""

    def _frames(self, capture: Any) -> Iterator[Frame]:
        """`rate` a second. What comes between two is grabbed too: else it would wait in the driver, and be shown late.

        A frame's name has nothing of any clock, and is unique where two frames seem to be of one moment.
        """
        start, run, shown = self._now(), os.urandom(8).hex(), 0
        due = start
        while due - start < self._seconds:
            if not capture.grab():
                raise TransientError(f"camera usb:{self._device} gives no pictures any more: is it still plugged in?")
            if (now := self._now()) >= due:
                yield Frame(f"{run}:{shown}", self._clock(), ".jpg", taken(capture))
                due, shown = max(due + 1 / self._rate, now), shown + 1

    def _ask_for_size(self, capture: Any) -> None:
        # Over USB 2, plain pixels of 1600x1200 come 5 times a second, as JPEG 30 times.
        capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"))
        capture.set(cv2.CAP_PROP_FRAME_WIDTH, self._size[0])
        capture.set(cv2.CAP_PROP_FRAME_HEIGHT, self._size[1])
        got = int(capture.get(cv2.CAP_PROP_FRAME_WIDTH)), int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT))
        if got != self._size:
            raise ConfigError(
                f"camera usb:{self._device}: wanted pictures of {_told(self._size)}, it gives {_told(got)}: set "
                "camera_size in device.toml to a size that it has (`v4l2-ctl --list-formats-ext` lists them)"
            )


@contextmanager
def opened(source: int | str, backend: int, name: str) -> Iterator[Any]:
    """A cv2.VideoCapture. Raises: ConfigError: there is none, or nothing that OpenCV can read."""
    capture = cv2.VideoCapture(source, backend)
    try:
        if not capture.isOpened():
            raise ConfigError(
                f"camera {name} cannot be opened: is it there, does another program use it, may this user read it "
                "(group `video`)? Else mend `camera` in device.toml"
            )
        yield capture
    finally:
        capture.release()


def taken(capture: Any) -> bytes:
    """The picture that was grabbed last, as a JPEG."""
    _, image = capture.retrieve()
    return encode_jpeg(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), QUALITY)


def _told(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"
