"""A full disk and a read-only one are told plainly, and the agent lives on. A real disk, where one may be mounted."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from device_bench import Cloud, build, image, new_pi

from hemaloop.device.agent import Agent
from hemaloop.device.home import Home, utc_now
from hemaloop.device.journal import Journal
from hemaloop.device.transport import open_transport
from hemaloop.protocol.documents import decode
from hemaloop.protocol.report import Report

pytestmark = pytest.mark.slow


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """24 MiB of memory, mounted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if _mount("-t", "tmpfs", "-o", "size=24m", "disk", folder):
        pytest.skip("this user may not mount a disk")
    yield folder
    subprocess.run(["umount", folder], check=True)


def _mount(*args: str | Path) -> int:
    return subprocess.run(["mount", *args], capture_output=True).returncode


def device(*args: str | Path) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "hemaloop.device.cli", *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def set_up(cloud: Cloud, disk: Path, camera: Path) -> Home:
    camera.mkdir()
    (camera / "a.png").write_bytes(image("monocyte", 1))
    cloud.release(build(1))
    return new_pi(cloud, disk / "pi-1", camera=camera)


def agent(home: Home, journal: Journal) -> Agent:
    settings = home.read_settings()
    return Agent(home, settings, journal, open_transport(settings.bucket), utc_now, threading.Event())


def test_a_full_disk_is_told_and_once_there_is_room_nothing_is_missing(
    cloud: Cloud, small_disk: Path, tmp_path: Path
) -> None:
    home = set_up(cloud, small_disk, tmp_path / "camera")
    with Journal(home.journal) as journal:
        ours = agent(home, journal)
        assert ours.round().problems == ()
        (tmp_path / "camera" / "b.png").write_bytes(image("lymphocyte", 2))
        _fill(small_disk / "other")
        full = [ours.round() for _ in range(2)]
        assert all("disk" in str(each.problems[0]) and "full" in str(each.problems[0]) for each in full)
        assert {each.exit_code for each in full} == {75}
        (small_disk / "other").unlink()
        after = ours.round()
        assert (after.captured, after.uploaded, after.classified, after.problems) == (1, 1, 1, ())
        assert _reported(cloud) == 2


def test_a_read_only_disk_is_told_and_status_and_classify_still_answer(
    cloud: Cloud, small_disk: Path, tmp_path: Path
) -> None:
    home = set_up(cloud, small_disk, tmp_path / "camera")
    with Journal(home.journal) as journal:
        assert agent(home, journal).round().problems == ()
    (tmp_path / "camera" / "b.png").write_bytes(image("lymphocyte", 2))
    with Journal(home.journal) as journal, _read_only_seen_from_now_on(home.folder):
        done = agent(home, journal).round()
    assert (done.exit_code, "read-only" in str(done.problems[0])) == (75, True)
    assert _mount("-o", "remount,ro", small_disk) == 0
    started = device("run", "--once", "--home", home.folder)
    assert (started.returncode, "is read-only" in started.stderr) == (75, True), started.stderr
    assert "Traceback" not in started.stderr
    status = json.loads(device("status", "--json", "--home", home.folder).stdout)
    assert (status["version"], status["disk"]["writable"], status["uploaded"]) == (1, False, 1)
    answered = device("classify", "--json", "--home", home.folder, tmp_path / "camera" / "b.png")
    assert json.loads(answered.stdout)["label"] == "lymphocyte", answered.stderr
    assert _mount("-o", "remount,rw", small_disk) == 0
    with Journal(home.journal) as journal:
        assert agent(home, journal).round().uploaded == 1


@contextmanager
def _read_only_seen_from_now_on(folder: Path) -> Iterator[None]:
    """As when the kernel gives a card up: what is open stays open."""
    assert _mount("--bind", folder, folder) == 0
    try:
        assert _mount("-o", "remount,bind,ro", folder) == 0
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


def _fill(path: Path) -> None:
    with path.open("wb") as stream:
        free = os.statvfs(path.parent).f_bavail * os.statvfs(path.parent).f_frsize
        os.posix_fallocate(stream.fileno(), 0, free)


def _reported(cloud: Cloud) -> int:
    keys = [each.key for each in cloud.bucket.list("reports/pi-1/")]
    return sum(decode(cloud.bucket.read(key), Report).uploaded for key in keys)
