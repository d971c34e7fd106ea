"""A device's rounds: what fails does not stop the rest, and what happened is reported."""

import json
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cutting_proxy import CuttingProxy
from device_bench import Cloud, build, hold, image, new_pi

from hemaloop.device.agent import Agent, Round
from hemaloop.device.capture.spool import Spool
from hemaloop.device.home import Home, utc_now
from hemaloop.device.journal import UPLOADED, Journal
from hemaloop.device.transport import open_transport
from hemaloop.device.updates.slots import Slots
from hemaloop.embedded import Server
from hemaloop.errors import ConfigError, TransientError, UntrustedError
from hemaloop.protocol.documents import decode
from hemaloop.protocol.keys import parse_upload_key, sidecar_key
from hemaloop.protocol.report import Report
from hemaloop.protocol.sidecar import Sidecar
from hemaloop.storage import Bucket

pytestmark = pytest.mark.slow


def take(folder: Path, *names: str) -> Path:
    """Put images into a camera's folder: <label>-<n>.png, or broken-<n>.jpg."""
    folder.mkdir(exist_ok=True)
    for name in names:
        label, _, number = name.partition("-")
        if label == "broken":
            (folder / f"{name}.jpg").write_bytes(b"\xff\xd8\xff broken")
        else:
            (folder / f"{name}.png").write_bytes(image(label, int(number)))
    return folder


def a_round(home: Home) -> Round:
    settings = home.read_settings()
    with Journal(home.journal) as journal:
        return Agent(home, settings, journal, open_transport(settings.bucket), utc_now, threading.Event()).round()


def reports(bucket: Bucket) -> list[Report]:
    return [decode(bucket.read(each.key), Report) for each in bucket.list("reports/pi-1/")]


def test_images_go_up_and_answers_come_back_in_a_report(any_bucket: Bucket, tmp_path: Path) -> None:
    cloud = hold(any_bucket, tmp_path / "keys")
    camera = take(tmp_path / "camera", "monocyte-1", "monocyte-2", "broken-3")
    home = new_pi(cloud, tmp_path / "pi-1", camera=camera)
    first = a_round(home)
    assert (first.captured, first.uploaded, first.classified, first.problems) == (3, 3, 0, ())
    keys = [each.key for each in any_bucket.list("uploads/")]
    images = [key for key in keys if parse_upload_key(key)]
    assert sorted(keys) == sorted([*images, *map(sidecar_key, images)])
    assert all(decode(any_bucket.read(sidecar_key(key)), Sidecar).device == "pi-1" for key in images)
    cloud.release(build(1))
    take(camera, "neutrophil-4")
    second = a_round(home)
    assert (second.captured, second.uploaded, second.classified, second.exit_code) == (1, 1, 4, 0)
    before, after = reports(any_bucket)
    assert (before.model_version, before.self_test, before.uploaded, before.classified) == (None, "none", 3, {})
    assert (after.model_version, after.self_test, after.uploaded) == (1, "passed", 1)
    assert (after.classified, after.unreadable) == ({"monocyte": 2, "neutrophil": 1}, 1)
    assert after.latency_ms is not None
    assert (after.channel, after.probation, after.failures, sum(after.confidence)) == ("stable", "none", 0, 3)
    uploads = {each.key for each in any_bucket.list("uploads/")}
    assert {answer.capture for answer in after.answers} < uploads
    assert sorted((answer.label, answer.version) for answer in after.answers) == [
        ("monocyte", 1),
        ("monocyte", 1),
        ("neutrophil", 1),
    ]
    results = [json.loads(line) for file in home.results.glob("*.jsonl") for line in file.read_text().splitlines()]
    assert sorted(each.get("label", "unreadable") for each in results) == [
        "monocyte",
        "monocyte",
        "neutrophil",
        "unreadable",
    ]
    assert not any(home.spool.rglob("*.*"))
    assert a_round(home).captured == 0, "each file once"


def test_a_device_without_a_network_classifies_and_reports_later(
    bucket_server: Server, bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud = hold(bucket, tmp_path / "keys")
    cloud.release(build(1))
    home = new_pi(cloud, tmp_path / "pi-1", camera=take(tmp_path / "camera", "monocyte-1"))
    assert a_round(home).exit_code == 0
    take(tmp_path / "camera", "monocyte-2")
    with monkeypatch.context() as away, CuttingProxy(bucket_server.port) as proxy:
        proxy.refuse()
        away.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{proxy.port}")
        lost = a_round(home)
        assert (lost.captured, lost.uploaded, lost.classified) == (1, 0, 1)
        assert lost.exit_code == TransientError.exit_code
        assert a_round(home).captured == 0
        assert Slots(home.slots).model().version == 1
    back = a_round(home)
    assert (back.uploaded, back.classified, back.reported, back.exit_code) == (1, 0, 2, 0)
    assert [report.uploaded for report in reports(bucket)] == [1, 0, 1]
    assert [report.classified.get("monocyte", 0) for report in reports(bucket)] == [1, 1, 0]


def test_what_was_counted_before_a_kill_is_not_counted_again_after_a_report(cloud: Cloud, tmp_path: Path) -> None:
    cloud.release(build(1))
    home = new_pi(cloud, tmp_path / "pi-2", camera=take(tmp_path / "camera", "monocyte-1", "monocyte-2"))
    cloud_folder, away = tmp_path / "bucket", tmp_path / "away"
    cloud_folder.rename(away)
    assert a_round(home).exit_code == ConfigError.exit_code
    with Journal(home.journal) as journal:  # as after a kill between counting and moving on
        last = Spool(home.spool, 2**20).to_upload()[-1]
        journal.sent(str(unsent.key) if (unsent := journal.unsent()) else "")
        journal.count(UPLOADED, last.capture)
    assert a_round(home).uploaded == 0
    away.rename(cloud_folder)
    assert a_round(home).exit_code == 0
    assert sum(report.uploaded for report in reports(cloud.bucket)) == 2


def test_a_refused_update_stops_nothing_else_and_is_reported_once(cloud: Cloud, tmp_path: Path) -> None:
    cloud.release(build(1))
    home = new_pi(cloud, tmp_path / "pi-2", camera=take(tmp_path / "camera", "monocyte-1"))
    assert a_round(home).exit_code == 0
    cloud.thief_signs_a_model_as_a_channel(build(2))
    take(tmp_path / "camera", "lymphocyte-2")
    done = a_round(home)
    assert (done.uploaded, done.classified, done.reported) == (1, 1, 1)
    assert done.exit_code == UntrustedError.exit_code
    last = reports(cloud.bucket)[-1]
    assert last.model_version == 1
    assert [each.version for each in last.refused_updates] == [2]


def test_a_full_spool_is_a_problem_that_is_told_and_the_rest_goes_on(cloud: Cloud, tmp_path: Path) -> None:
    camera = take(tmp_path / "camera", "monocyte-1", "monocyte-2", "monocyte-3")
    home = new_pi(cloud, tmp_path / "pi-2", camera=camera)
    size = max(path.stat().st_size for path in camera.iterdir())
    home.settings.write_text(home.settings.read_text().replace(str(2**30), str(2 * size)))
    first = a_round(home)
    assert (first.captured, first.uploaded) == (2, 2)
    assert "spool of pi-1 is full" in str(first.problems[0])
    assert first.exit_code == TransientError.exit_code
    second = a_round(home)
    assert (second.captured, second.uploaded, second.exit_code) == (1, 1, 0)
    assert len([key for key in cloud.bucket.list("uploads/") if parse_upload_key(key.key)]) == 3


def test_two_processes_do_not_change_one_home_at_a_time(cloud: Cloud, tmp_path: Path) -> None:
    home = new_pi(cloud, tmp_path / "pi-2")
    with home.locked():
        done = a_round(home)
    assert (done.reported, done.exit_code) == (0, TransientError.exit_code)
    assert reports(cloud.bucket) == []


def test_the_exit_code_is_the_gravest_problems() -> None:
    problems = (TransientError("later"), ConfigError("mend"), UntrustedError("no"))
    assert Round(0, 0, "", 0, 0, problems).exit_code == 5
    assert Round(0, 0, "", 0, 0, problems[:2]).exit_code == 2
    assert Round(0, 0, "", 0, 0, ()).exit_code == 0


def test_sigterm_ends_the_loop_cleanly(cloud: Cloud, tmp_path: Path) -> None:
    home = new_pi(cloud, tmp_path / "pi-2")
    command = [sys.executable, "-m", "hemaloop.device.cli", "run", "--home", str(home.folder), "--every", "0.2"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE)
    try:
        deadline = time.monotonic() + 30
        while not reports(cloud.bucket) and time.monotonic() < deadline:
            time.sleep(0.1)
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=20)
    finally:
        process.kill()
    assert process.returncode == 0, said.decode()
    assert len(reports(cloud.bucket)) == 1, "rounds with nothing to tell send nothing"
    assert datetime.now(UTC) > reports(cloud.bucket)[0].at
