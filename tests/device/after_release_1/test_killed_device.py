"""A device killed at any change of its disk: it has a working model, and no image is lost or counted twice.

The suite kills at some of the changes; HEMALOOP_KILL_STEP=1, or `make drill-device`, at every one.
"""

import os
import shutil
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from device_bench import Cloud, Pi, build, build_blind, image, new_pi

from hemaloop.device.agent import Agent
from hemaloop.device.home import Home, utc_now
from hemaloop.device.journal import Journal
from hemaloop.device.transport import open_transport
from hemaloop.device.updates.update import Refused, Updated, UpToDate
from hemaloop.protocol.bundle import Bundle
from hemaloop.protocol.channel import Channel
from hemaloop.protocol.documents import decode
from hemaloop.protocol.report import Report
from hemaloop.protocol.sidecar import Sidecar
from hemaloop.storage import Bucket

pytestmark = pytest.mark.slow

STEP = int(os.environ.get("HEMALOOP_KILL_STEP", "0"))  # 0: each test's own


def kill_everywhere(operation: str, template: Path, work: Path, step: int) -> list[Path]:
    """The folders in which the operation was killed, each at another change."""
    script = Path(__file__).parents[1] / "kill_points.py"
    command = [sys.executable, str(script), operation, str(template), str(work), str(step)]
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return [work / str(point) for point in range(1, int(done.stdout), step)]


def template_of(cloud: Cloud, pi: Pi, tmp_path: Path) -> Path:
    template = tmp_path / "template"
    shutil.copytree(pi.home.folder, template / "pi-1", symlinks=True)
    shutil.copytree(tmp_path / "bucket", template / "bucket")
    return template


def restarted(folder: Path) -> Iterator[Pi]:
    """The device that was killed, on its copy of the bucket."""
    home = Home(folder / "pi-1")
    settings = replace(home.read_settings(), bucket=f"file://{folder}/bucket")
    with Journal(home.journal) as journal:
        yield Pi(home, settings, journal)


def assert_always_right(killed: list[Path], between: set[int], end: int) -> None:
    """Right after each kill a self-tested model answers; started again, the device ends at the right version."""
    seen = set()
    for index, folder in enumerate(killed):
        for device in restarted(folder):
            seen.add(device.slots.model().version)
            assert device.answers("monocyte"), folder
            if STEP == 1 or index % 4 == 1:  # each self-test takes its time
                outcome = device.update()
                assert not isinstance(outcome, Refused), outcome
                assert device.slots.model().version == end, folder
    assert seen <= between
    assert STEP != 1 or seen == between


def test_an_update_killed_anywhere_leaves_a_working_model(cloud: Cloud, pi: Pi, tmp_path: Path) -> None:
    cloud.release(build(2))
    killed = kill_everywhere("update", template_of(cloud, pi, tmp_path), tmp_path / "killed", STEP or 13)
    assert len(killed) > 3
    assert_always_right(killed, {1, 2}, 2)


def test_an_update_killed_while_another_is_on_probation_leaves_a_proven_model(
    cloud: Cloud, pi: Pi, tmp_path: Path
) -> None:
    cloud.release(build(2))
    assert isinstance(pi.update(), Updated)
    assert pi.probation.startswith("running")
    cloud.release(build(3))
    killed = kill_everywhere("update", template_of(cloud, pi, tmp_path), tmp_path / "killed", STEP or 23)
    assert_always_right(killed, {1, 2, 3}, 3)


def test_a_shadow_taken_and_killed_anywhere_leaves_the_model_that_answers(cloud: Cloud, pi: Pi, tmp_path: Path) -> None:
    cloud.release(build(2))
    cloud.say(Channel("stable", 1, shadow=2))
    killed = kill_everywhere("update", template_of(cloud, pi, tmp_path), tmp_path / "killed", STEP or 23)
    assert_always_right(killed, {1}, 1)
    for device in restarted(killed[-1]):
        device.update()
        assert (idle := device.slots.idle()) is not None
        assert (idle[0].version, idle[0].shadow) == (2, True)


@pytest.mark.parametrize(("bundle", "end"), [(build, 2), (build_blind, 1)])
def test_a_probation_killed_anywhere_ends_as_it_would_have(
    cloud: Cloud, pi: Pi, tmp_path: Path, bundle: Callable[[int], Bundle], end: int
) -> None:
    cloud.release(bundle(2))
    cloud.say(Channel("stable", 2, probation_images=1))
    assert isinstance(pi.update(), Updated)
    put_in_the_spool(pi, 3)
    killed = kill_everywhere("round", template_of(cloud, pi, tmp_path), tmp_path / "killed", STEP or 17)
    for folder in killed:
        for device in restarted(folder):
            assert device.slots.model().version in {2, end}
        for _ in range(3):
            finish(folder)
        for device in restarted(folder):
            assert device.slots.model().version == end, folder
            assert not list((device.home.spool / "classify").iterdir())
        check_answers(folder, {"monocyte": 3})


def test_a_round_with_a_shadow_killed_anywhere_counts_each_answer_once(cloud: Cloud, pi: Pi, tmp_path: Path) -> None:
    cloud.release(build(2))
    cloud.say(Channel("stable", 1, shadow=2))
    assert isinstance(pi.update(), UpToDate)
    put_in_the_spool(pi, 2)
    killed = kill_everywhere("round", template_of(cloud, pi, tmp_path), tmp_path / "killed", STEP or 17)
    for folder in killed:
        finish(folder)
        check_answers(folder, {"monocyte": 2})
        runs = [report.shadow for report in reports_of(folder) if report.shadow]
        assert all(run.version == 2 for run in runs)
        assert sum(run.images for run in runs) in (1, 2), "one may be lost with the kill, none is counted twice"


def put_in_the_spool(pi: Pi, images: int) -> None:
    """Images that are in the bucket and wait for the model."""
    folder = pi.home.spool / "classify"
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(images):
        (folder / f"20261121T00000{number}.000000Z-0.png").write_bytes(image("monocyte", number))


def test_a_round_killed_anywhere_loses_no_image_and_counts_none_twice(cloud: Cloud, tmp_path: Path) -> None:
    camera = tmp_path / "camera"
    camera.mkdir()
    (camera / "monocyte.png").write_bytes(image("monocyte"))
    (camera / "broken.jpg").write_bytes(b"no image")
    home = new_pi(cloud, tmp_path / "pi-1", camera=camera)
    with Journal(home.journal) as journal:
        pi = Pi(home, home.read_settings(), journal)
        assert isinstance(pi.update(), Updated)
        template = template_of(cloud, pi, tmp_path)
    # An atomic write is two changes: 3 kills between both, and is quicker than 1.
    killed = kill_everywhere("round", template, tmp_path / "killed", STEP or 17)
    assert len(killed) > 3
    for folder in killed:
        finish(folder)
        check_counts(folder)


def finish(folder: Path) -> None:
    for device in restarted(folder):
        transport = open_transport(device.settings.bucket)
        done = Agent(device.home, device.settings, device.journal, transport, utc_now, threading.Event()).round()
    assert done.problems == (), folder


def reports_of(folder: Path) -> list[Report]:
    bucket = Bucket(f"file://{folder}/bucket")
    return [decode(bucket.read(each.key), Report) for each in bucket.list("reports/")]


def check_answers(folder: Path, wanted: dict[str, int]) -> None:
    said = Counter[str]()
    for report in reports_of(folder):
        said.update(report.classified)
        assert len(report.answers) == sum(report.classified.values())
    assert said == wanted, folder


def check_counts(folder: Path) -> None:
    bucket = Bucket(f"file://{folder}/bucket")
    keys = [each.key for each in bucket.list("uploads/")]
    sidecars = [key for key in keys if key.endswith(".json")]
    assert (len(keys), len(sidecars)) == (4, 2), folder
    assert len({decode(bucket.read(key), Sidecar).sha256 for key in sidecars}) == 2
    reports = reports_of(folder)
    assert sum(report.uploaded for report in reports) == 2, folder
    assert sum(report.unreadable for report in reports) == 1, folder
    assert sum(report.classified.get("monocyte", 0) for report in reports) == 1, folder
    assert not any((folder / "pi-1" / "spool").rglob("*.*"))
