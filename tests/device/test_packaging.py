"""A device's install: alone on Raspberry Pi OS, small in memory, and under systemd."""

import os
import re
import shutil
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from device_bench import Cloud, build, hold, new_pi

from bench.device_size import PYTHONS, install
from hemaloop.device.agent import Agent
from hemaloop.device.home import utc_now
from hemaloop.device.journal import Journal
from hemaloop.device.systemd import notify
from hemaloop.device.transport import open_transport
from hemaloop.storage import Bucket

PROGRAM = Path(sys.executable).with_name("hemaloop-device")
UNIT = Path(__file__).parents[2] / "deploy/device/hemaloop-device.service"
RESIDENT_MB = 200
# Runs a program and prints how many KiB it, or what it ran, had in memory at most.
MEASURED = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


@pytest.mark.slow
@pytest.mark.parametrize("python", PYTHONS)
def test_the_lock_has_wheels_for_raspberry_pi_os(tmp_path: Path, python: str) -> None:
    done = install(tmp_path / "lib", python, "--dry-run")
    if done.returncode and re.search(r"(?i)connect|dns|timed out|network|offline", done.stderr):
        pytest.skip("the package index cannot be reached from here")
    assert done.returncode == 0, done.stderr
    assert "opencv-python-headless" in done.stderr


@pytest.mark.slow
def test_an_agent_that_classifies_stays_small(bucket: Bucket, tmp_path: Path) -> None:
    """A whole round: S3, TUF, the self-test beside it, and the model on fields of 1600x1200."""
    import cv2
    import numpy as np

    cloud = hold(bucket, tmp_path / "keys")
    cloud.release(build(1))
    (tmp_path / "camera").mkdir()
    for number in range(3):
        field = np.random.default_rng(number).integers(0, 255, (1200, 1600, 3), np.uint8)
        cv2.imwrite(str(tmp_path / "camera" / f"{number}.jpg"), field)
    home = new_pi(cloud, tmp_path / "pi-1", camera=tmp_path / "camera")
    # Of its parent a process inherits how large that was: so a small one stands between this one and the agent.
    command = [sys.executable, "-c", MEASURED, PROGRAM, "run", "--once", "--home", home.folder]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert "uploaded 3, classified 3" in said
    assert int(said.split()[-1]) / 1024 < RESIDENT_MB


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not on this machine")
def test_systemd_takes_the_unit_and_finds_it_closed(tmp_path: Path) -> None:
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace("/opt/hemaloop/bin/hemaloop-device", str(PROGRAM)))
    done = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    command = ["systemd-analyze", "security", "--offline=true", "--threshold=20", unit]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0, "exposure above 2.0 of 10"


def test_the_unit_acts_on_our_exit_codes() -> None:
    said = dict(line.split("=", 1) for line in UNIT.read_text().splitlines() if re.match(r"[A-Z]\w+=", line))
    assert (said["Type"], said["Restart"], said["RestartPreventExitStatus"]) == ("notify", "always", "2")
    assert said["SuccessExitStatus"] == "75"
    assert int(said["WatchdogSec"]) > 2 * 120, "twice the time that a self-test is given"


@pytest.mark.parametrize("abstract", [False, True])
def test_systemd_hears_that_the_agent_is_ready_alive_and_stopping(
    cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, abstract: bool
) -> None:
    address = f"@hemaloop-{os.getpid()}" if abstract else str(tmp_path / "notify")
    home = new_pi(cloud, tmp_path / "pi-1")
    stopping, heard = threading.Event(), list[str]()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd, Journal(home.journal) as journal:
        systemd.bind(f"\0{address[1:]}" if abstract else address)
        monkeypatch.setenv("NOTIFY_SOCKET", address)

        def tell(state: str) -> None:
            notify(state)
            heard.append(systemd.recv(1000).decode())
            if state.startswith("STATUS="):
                stopping.set()

        settings = home.read_settings()
        Agent(home, settings, journal, open_transport(settings.bucket), utc_now, stopping, tell).run(0)
    assert heard[0] == "READY=1"
    assert heard.count("WATCHDOG=1") >= 5, "before each step of a round"
    assert heard[-2].startswith("STATUS=captured 0")
    assert heard[-1] == "STOPPING=1"


def test_without_systemd_nobody_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    notify("READY=1")
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone"))
    notify("READY=1")
