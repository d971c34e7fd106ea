"""A device killed at any change of its disk: it has a working model, and no image is lost or counted twice."""

import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from device_bench import Cloud, Pi, build, image, new_pi

from hemaloop.device.agent import Agent
from hemaloop.device.home import Home, utc_now
from hemaloop.device.journal import Journal
from hemaloop.device.transport import open_transport
from hemaloop.device.update import Updated, UpToDate, update
from hemaloop.protocol.documents import decode
from hemaloop.protocol.report import Report
from hemaloop.protocol.sidecar import Sidecar
from hemaloop.storage import Bucket

pytestmark = pytest.mark.slow


def kill_everywhere(operation: str, template: Path, work: Path, step: int) -> list[Path]:
    """The folders in which the operation was killed, each at another change."""
    script = Path(__file__).with_name("kill_points.py")
    command = [sys.executable, str(script), operation, str(template), str(work), str(step)]
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return [work / str(point) for point in range(1, int(done.stdout), step)]


def template_of(cloud: Cloud, pi: Pi, tmp_path: Path) -> Path:
    template = tmp_path / "template"
    shutil.copytree(pi.home.folder, template / "pi-1", symlinks=True)
    shutil.copytree(tmp_path / "bucket", template / "bucket")
    return template


def test_an_update_killed_anywhere_leaves_a_working_model(cloud: Cloud, pi: Pi, tmp_path: Path) -> None:
    cloud.release(build(1))
    assert isinstance(pi.update(), Updated)
    cloud.release(build(2))
    killed = kill_everywhere("update", template_of(cloud, pi, tmp_path), tmp_path / "killed", step=1)
    assert len(killed) > 20
    versions = []
    for index, folder in enumerate(killed):
        home = Home(folder / "pi-1")
        with Journal(home.journal) as journal:
            device = Pi(home, home.read_settings(), journal)
            versions.append(device.slots.model().version)
            assert device.answers("monocyte"), folder
            if index % 20 == 0 or versions[-1] == 2:  # each self-test takes its time
                again = update(home, device.settings, journal, open_transport(f"file://{folder}/bucket"), utc_now)
                assert isinstance(again, Updated | UpToDate), again
                assert device.slots.model().version == 2
    assert set(versions) == {1, 2}
    assert versions == sorted(versions)


def test_a_round_killed_anywhere_loses_no_image_and_counts_none_twice(cloud: Cloud, tmp_path: Path) -> None:
    camera = tmp_path / "camera"
    camera.mkdir()
    (camera / "monocyte.png").write_bytes(image("monocyte"))
    (camera / "broken.jpg").write_bytes(b"no image")
    home = new_pi(cloud, tmp_path / "pi-1", camera=camera)
    cloud.release(build(1))
    with Journal(home.journal) as journal:
        pi = Pi(home, home.read_settings(), journal)
        assert isinstance(pi.update(), Updated)
        template = template_of(cloud, pi, tmp_path)
    # An atomic write is two changes: 3 kills between both, and is quicker than 1.
    killed = kill_everywhere("round", template, tmp_path / "killed", step=3)
    assert len(killed) > 20
    for folder in killed:
        finish(folder)
        check_counts(folder)


def finish(folder: Path) -> None:
    home = Home(folder / "pi-1")
    with Journal(home.journal) as journal:
        transport = open_transport(f"file://{folder}/bucket")
        done = Agent(home, home.read_settings(), journal, transport, utc_now, threading.Event()).round()
    assert done.problems == (), folder


def check_counts(folder: Path) -> None:
    bucket = Bucket(f"file://{folder}/bucket")
    keys = [each.key for each in bucket.list("uploads/")]
    sidecars = [key for key in keys if key.endswith(".json")]
    assert (len(keys), len(sidecars)) == (4, 2), folder
    assert len({decode(bucket.read(key), Sidecar).sha256 for key in sidecars}) == 2
    reports = [decode(bucket.read(each.key), Report) for each in bucket.list("reports/")]
    assert sum(report.uploaded for report in reports) == 2, folder
    assert sum(report.unreadable for report in reports) == 1, folder
    assert sum(report.classified.get("monocyte", 0) for report in reports) == 1, folder
    assert not any((folder / "pi-1" / "spool").rglob("*.*"))
