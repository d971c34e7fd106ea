"""Cameras: OpenCV's own VideoCapture on generated videos; the one thing that is missing here is a microscope."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import cv2
import numpy as np
import pytest

from hemaloop.device.capture.cameras.choosing import choose_camera
from hemaloop.device.capture.cameras.folder import FolderCamera
from hemaloop.device.capture.cameras.replay import ReplayCamera
from hemaloop.device.capture.cameras.usb import UsbCamera
from hemaloop.device.home import DeviceSettings
from hemaloop.device.journal import Journal
from hemaloop.errors import ConfigError, TransientError
from hemaloop.imaging.decode import decode, encode_png

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
SETTINGS = DeviceSettings("pi-1", "file:///nowhere", "stable")


def noon() -> datetime:
    return NOON


class Timer:
    """A clock of its own pace: each look takes an eighth of a second."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept = 0.0

    def __call__(self) -> float:
        self.now += 0.125
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept += seconds


def video(path: Path, frames: int, size: tuple[int, int] = (640, 480), fps: float = 10.0) -> Path:
    """Each frame is a little brighter than the one before."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), fps, size)
    assert writer.isOpened()
    for number in range(frames):
        writer.write(np.full((size[1], size[0], 3), 40 + 4 * number, np.uint8))
    writer.release()
    return path


def levels(frames: Iterator[object]) -> list[int]:
    """Which of the video's frames these are."""
    return [round((float(decode(frame.data).mean()) - 40) / 4) for frame in frames]  # type: ignore[attr-defined]


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal(tmp_path / "journal.db") as journal:
        yield journal


@pytest.mark.parametrize("size", [(640, 480), (1600, 1200)])
def test_a_microscope_is_read_at_its_rate_and_what_comes_between_is_passed_over(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    path = video(tmp_path / "a.avi", 40, size)
    camera = UsbCamera(str(path), size, 2, 1.5, noon, Timer(), cv2.CAP_ANY)
    frames = list(camera.frames())
    assert levels(iter(frames)) == [5, 8, 12], "five settle; then two a second, of eight"
    assert decode(frames[0].data).shape == (size[1], size[0], 3)
    assert len({frame.name for frame in frames} | {frame.name for frame in camera.frames()}) == 6


def test_a_size_that_the_microscope_does_not_have_is_refused_with_the_one_it_has(tmp_path: Path) -> None:
    camera = UsbCamera(str(video(tmp_path / "a.avi", 2)), (1600, 1200), 2, 1, noon, Timer(), cv2.CAP_ANY)
    with pytest.raises(ConfigError, match="wanted pictures of 1600x1200, it gives 640x480: set camera_size"):
        list(camera.frames())


def test_a_microscope_that_was_pulled_out_is_a_problem_that_may_pass(tmp_path: Path) -> None:
    camera = UsbCamera(str(video(tmp_path / "a.avi", 8)), (640, 480), 10, 60, noon, Timer(), cv2.CAP_ANY)
    with pytest.raises(TransientError, match="still plugged in"):
        list(camera.frames())


@pytest.mark.parametrize("device", ["7", "/dev/video7"])
def test_a_microscope_that_is_not_there_says_what_to_look_at(device: str) -> None:
    with pytest.raises(ConfigError, match=rf"camera usb:{device} cannot be opened: .*group `video`.*device.toml"):
        list(UsbCamera(device, (640, 480), 2, 1, noon).frames())


def test_a_video_is_shown_once_over_rounds_at_the_rate_that_is_asked_for(tmp_path: Path) -> None:
    timer = Timer()
    camera = ReplayCamera(video(tmp_path / "a.avi", 20), 2, 1.5, noon, timer.sleep)
    rounds = [levels(camera.frames()) for _ in range(3)]
    assert rounds == [[0, 5, 10], [15], []]
    assert timer.slept == pytest.approx(2.0)


def test_a_folder_is_replayed_as_it_lies(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"{number}.png").write_bytes(encode_png(np.full((8, 8, 3), number, np.uint8)))
    (tmp_path / "notes.txt").write_text("no image")
    camera = ReplayCamera(tmp_path, 2, 1, noon, Timer().sleep)
    frames = [*camera.frames(), *camera.frames(), *camera.frames()]
    assert [frame.data for frame in frames] == [(tmp_path / f"{number}.png").read_bytes() for number in range(3)]
    assert len({frame.name for frame in frames}) == 3


@pytest.mark.parametrize("name", ["none.avi", "text.avi"])
def test_a_video_that_cannot_be_read_says_which(tmp_path: Path, name: str) -> None:
    (tmp_path / "text.avi").write_text("no video")
    with pytest.raises(ConfigError, match=name):
        list(ReplayCamera(tmp_path / name, 2, 1, noon).frames())


def test_device_toml_says_which_camera(tmp_path: Path, journal: Journal) -> None:
    def chosen(camera: str | None) -> object:
        return choose_camera(replace(SETTINGS, camera=camera), journal, noon)

    assert chosen(None) is None
    for camera, kind, keeps in (
        (str(tmp_path), FolderCamera, True), ("usb:0", UsbCamera, False), (f"replay:{tmp_path}", ReplayCamera, False),
    ):  # fmt: skip
        found = chosen(camera)
        assert isinstance(found, kind)
        assert found.keeps is keeps
