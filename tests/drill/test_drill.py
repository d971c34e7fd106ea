"""The short form of `make drill-ingest`: promise 1, with everything failing at once."""

import json
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from drill.ingest import notified
from drill.proxy import FaultyS3, Weather
from hemaloop.embedded import Server, environment
from hemaloop.storage import Bucket

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_with_faults_and_kills_every_upload_ends_once_and_every_revision_verifies(tmp_path: Path) -> None:
    orders = ["--rounds", "1", "--workers", "2", "--devices", "3", "--uploads", "5", "--seed", "2"]
    command = [sys.executable, "-W", "ignore", "-m", "drill", "ingest", *orders, "--folder", str(tmp_path), "--json"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.stdout, ended.stderr[-3000:]
    verdict: dict[str, Any] = json.loads(ended.stdout)
    assert verdict["broken"] == []
    assert ended.returncode == 0
    assert verdict["images"] > 10
    assert sum(verdict["faults"].values()) > 0


@pytest.fixture
def faulty(bucket_server: Server) -> Iterator[tuple[Weather, Bucket, list[str]]]:
    weather, arrived = Weather(seed=1), list[str]()
    with (
        FaultyS3(bucket_server.port, weather, arrived.append) as proxy,
        environment({"AWS_ENDPOINT_URL": proxy.endpoint}),
    ):
        bucket = Bucket("s3://faulty-drill")
        bucket.create()
        yield weather, bucket, arrived


def test_the_proxy_serves_an_old_listing_but_never_a_wrong_body(faulty: tuple[Weather, Bucket, list[str]]) -> None:
    weather, bucket, arrived = faulty
    bucket.write("uploads/pi/one.jpg", b"1" * 5000)
    assert [found.key for found in bucket.list("uploads/")] == ["uploads/pi/one.jpg"]
    bucket.write("uploads/pi/two.jpg", b"2" * 5000)
    weather.rate = 1.0
    weather.choose = lambda method, path: "stale" if "list-type" in path else ""  # type: ignore[method-assign]
    assert [found.key for found in bucket.list("uploads/")] == ["uploads/pi/one.jpg"]
    weather.choose = lambda method, path: "truncated" if next(cut, False) else ""  # type: ignore[method-assign]
    cut = iter([True])
    assert bucket.read("uploads/pi/two.jpg") == b"2" * 5000
    assert arrived == ["uploads/pi/one.jpg", "uploads/pi/two.jpg"]


def test_notifications_are_lost_doubled_and_reordered_but_never_made_up() -> None:
    arrived = [f"uploads/pi/{number}.jpg" for number in range(100)]
    heard = notified(arrived, random.Random(1))
    assert set(heard) < set(arrived)
    assert len(heard) > len(set(heard))
    assert heard != sorted(heard, key=arrived.index)
