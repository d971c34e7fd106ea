"""`hemaloop deploy` on a real Prefect server: a scheduled ingest takes up an upload, and it is versioned."""

import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from flows.serve import POOL, Retrain, Schedules, plan
from hemaloop.demo import origin, servers
from hemaloop.imaging.decode import encode_jpeg
from hemaloop.imaging.smear import Slide, draw
from hemaloop.ingest.ledger import Ledger
from hemaloop.ingest.states import State
from hemaloop.protocol.documents import encode
from hemaloop.protocol.keys import UploadKey, sidecar_key
from hemaloop.protocol.sidecar import Sidecar
from hemaloop.storage import Bucket

FLOWS = {"ingest", "reconcile", "purge", "retrain", "release", "refresh", "fleet"}


def test_retraining_has_a_night_and_a_threshold() -> None:
    schedules = plan(Schedules(60, 3600, 60, "0 2 * * *", 600, 3600, 300, "30 3 * * *"), Retrain(200))
    nightly, enough = schedules["flows/retrain.py:retrain"]
    assert (nightly.cron, nightly.parameters) == ("0 2 * * *", {"minimum_new_images": 1})
    assert enough.parameters == {"minimum_new_images": 200}
    assert {entrypoint.split(":")[1] for entrypoint in schedules} == FLOWS


def environment(tmp_path: Path, bucket: Bucket) -> dict[str, str]:
    home = tmp_path / "home"
    home.mkdir()
    return servers.prefect_environment(home) | {
        "HEMALOOP_HOME": str(home),
        "HEMALOOP_BUCKET": bucket.url,
        "HEMALOOP_REPOSITORY": str(tmp_path / "origin.git"),
    }


@contextmanager
def worker(folder: Path) -> Iterator[None]:
    command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", POOL]
    with (folder / "worker.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)
    try:
        yield
    finally:
        process.terminate()
        process.wait(timeout=60)


def upload(bucket: Bucket) -> str:
    image = encode_jpeg(draw("neutrophil", Slide.of(1), 1))
    now = datetime.now(UTC)
    key = str(UploadKey("pi-1", now.date(), "field-1"))
    bucket.write(key, image)
    bucket.write(sidecar_key(key), encode(Sidecar(hashlib.sha256(image).hexdigest(), "pi-1", now, slide="s-1")))
    return key


@pytest.mark.slow
def test_a_scheduled_ingest_versions_an_upload(tmp_path: Path, bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment(tmp_path, bucket).items():
        monkeypatch.setenv(name, value)
    origin.create(tmp_path / "origin.git")
    params = yaml.safe_load((origin.ROOT / "params.yaml").read_text())
    params["schedules"] |= {"ingest_seconds": 5}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    home = Path(os.environ["HEMALOOP_HOME"])
    key = upload(bucket)
    with servers.prefect_server(home):
        told = subprocess.run(
            [sys.executable, "-m", "hemaloop.cli", "deploy", "--params", str(tmp_path / "params.yaml")],
            check=True, capture_output=True, text=True,
        ).stdout  # fmt: skip
        assert {line.split()[0] for line in told.splitlines() if " every " in line or " cron " in line} == FLOWS
        with worker(tmp_path):
            trace = wait_until_versioned(home, key)
    origin_ = str(tmp_path / "origin.git")
    git = ["git", "-C", origin_, "log", "-1", "--format=%H", f"--grep=^Batch: {trace.batch}$", "main"]
    commit = subprocess.run(git, check=True, capture_output=True, text=True).stdout.strip()
    assert trace.revision == commit


def wait_until_versioned(home: Path, key: str):  # type: ignore[no-untyped-def]
    """The upload, once a scheduled run has taken it all the way."""
    ledger = Ledger(f"sqlite:///{home}/ledger.db")
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline:
        traces = ledger.history(key)
        if traces and traces[0].upload.state == State.VERSIONED:
            return traces[0].upload
        time.sleep(1)
    raise AssertionError(f"{key} was not versioned: {traces}; {(home.parent / 'worker.log').read_text()[-3000:]}")
