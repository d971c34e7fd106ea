"""`hemaloop deploy` on a real Prefect server: a schedule and a notification each take up an upload, to its revision."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import pytest
import yaml

from flows.asking import RETRAIN, ask
from flows.serve import POOL, Retrain, Schedules, plan
from flows.wake import WOKEN, waiting, wake
from hemaloop.demo import origin, servers
from hemaloop.embedded import Server, environment, free_port
from hemaloop.errors import ConfigError, TransientError
from hemaloop.imaging.decode import encode_jpeg
from hemaloop.imaging.smear import Slide, draw
from hemaloop.ingest.fleet.shifts import Reference
from hemaloop.ingest.fleet.table import keep_reference
from hemaloop.ingest.ledger import Ledger
from hemaloop.ingest.records import Upload
from hemaloop.ingest.states import State
from hemaloop.protocol.documents import encode
from hemaloop.protocol.keys import UploadKey, report_key, sidecar_key
from hemaloop.protocol.report import Report
from hemaloop.protocol.sidecar import Sidecar
from hemaloop.storage import Bucket

pytestmark = pytest.mark.longest

FLOWS = {"ingest", "reconcile", "purge", "retrain", "release", "rollout", "refresh", "fleet"}


def test_retraining_has_a_night_and_a_threshold() -> None:
    schedules = plan(Schedules(60, 3600, 60, 300, "0 2 * * *", 600, 3600, 300, "30 3 * * *"), Retrain(200))
    nightly, enough = schedules["flows/retrain.py:retrain"]
    assert (nightly.cron, nightly.parameters) == ("0 2 * * *", {"minimum_new_images": 1})
    assert enough.parameters == {"minimum_new_images": 200}
    assert {entrypoint.split(":")[1] for entrypoint in schedules} == FLOWS


@dataclass(frozen=True)
class Site:
    """An installation with everything running: a bucket, a repository, Prefect, a worker, a watch."""

    home: Path
    bucket: Bucket
    origin: Path
    prefect: str  # address of its API
    watch: int  # port
    deployed: str  # what `hemaloop deploy` said

    def upload(self, name: str, day: datetime) -> str:
        image = encode_jpeg(draw("neutrophil", Slide.of(len(name)), len(name)))
        key = str(UploadKey("pi-1", day.date(), name))
        self.bucket.write(key, image)
        said = Sidecar(hashlib.sha256(image).hexdigest(), "pi-1", day, slide=f"slide-{name}")
        self.bucket.write(sidecar_key(key), encode(said))
        return key

    def notify(self, *keys: str) -> int:
        """What a store says: with the same key twice, and the sidecar's before the image's."""
        names = [*map(sidecar_key, keys), *keys, *keys]
        records = [
            {
                "eventName": "s3:ObjectCreated:Put",
                "s3": {"bucket": {"name": self.bucket.url.removeprefix("s3://")}, "object": {"key": quote_plus(name)}},
            }
            for name in names
        ]
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.watch}/notifications",
            json.dumps({"Records": records}).encode(),
            {"Authorization": f"Bearer {TOKEN}"},
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            return int(answer.status)

    def versioned(self, key: str) -> Upload:
        """The upload, once a run has taken it all the way."""
        ledger = Ledger(f"sqlite:///{self.home}/ledger.db")
        return until(
            lambda: next((t.upload for t in ledger.history(key) if t.upload.state == State.VERSIONED), None), self
        )


TOKEN = "a-shared-secret"
UNTOUCHED = ("Scheduled", "Late")  # states of a run that no worker has tried to start
NOT_BEGUN = ("SCHEDULED", "PENDING")  # types of states


@pytest.fixture(scope="module")
def site(bucket_server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    home = folder / "home"
    home.mkdir()
    bucket = Bucket(f"s3://test-{uuid.uuid4().hex[:12]}")
    bucket.create()
    port = free_port()
    variables = servers.prefect_environment(home) | {
        "HEMALOOP_HOME": str(home),
        "HEMALOOP_BUCKET": bucket.url,
        "HEMALOOP_REPOSITORY": str(folder / "origin.git"),
        "HEMALOOP_WATCH_TOKEN": TOKEN,
        "PREFECT_SERVER_DEPLOYMENTS_CONCURRENCY_SLOT_WAIT_SECONDS": "2",
    }
    origin.create(folder / "origin.git")
    params = yaml.safe_load((origin.ROOT / "params.yaml").read_text())
    seldom = {name: 86_400 for name in params["schedules"] if name.endswith("_seconds")}
    params["schedules"] |= seldom | {"ingest_seconds": 15}
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    hemaloop = [sys.executable, "-m", "hemaloop.cli"]
    with environment(variables), servers.prefect_server(home):
        deploy = [*hemaloop, "deploy", "--params", str(folder / "params.yaml")]
        told = subprocess.run(deploy, check=True, capture_output=True, text=True).stdout
        with (
            process(folder / "worker.log", sys.executable, "-m", "prefect", "worker", "start", "--pool", POOL),
            process(folder / "watch.log", *hemaloop, "watch", "--port", str(port)),
        ):
            yield Site(home, bucket, folder / "origin.git", variables["PREFECT_API_URL"], port, told)


@contextmanager
def process(log: Path, *command: str) -> Iterator[None]:
    with log.open("wb") as output:
        started = subprocess.Popen(command, stdout=output, stderr=output, cwd=log.parent, start_new_session=True)
    try:
        yield
    finally:
        started.terminate()
        try:
            started.wait(timeout=10)
        except subprocess.TimeoutExpired:  # a worker waits for the runs it has started
            os.killpg(started.pid, signal.SIGKILL)
            started.wait(timeout=60)


def until(find: Callable[[], Any], site: Site) -> Any:
    """What `find` finds, once it does."""
    deadline = time.monotonic() + 240
    while not (found := find()):
        if time.monotonic() > deadline:
            logs = [(site.home.parent / name).read_text()[-3000:] for name in ("worker.log", "watch.log")]
            raise AssertionError("\n".join(["not within 240 s", *logs]))
        time.sleep(0.5)
    return found


@contextmanager
def prefect_at(address: str | None) -> Iterator[None]:
    """This process read Prefect's settings before there was a server."""
    from prefect.settings import PREFECT_API_URL, temporary_settings

    with temporary_settings({PREFECT_API_URL: address}):
        yield


def woken_runs(site: Site) -> list[Any]:
    """Flow runs that the trigger made, oldest first."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterName
    from prefect.client.schemas.sorting import FlowRunSort

    woken = DeploymentFilter(name=DeploymentFilterName(any_=[WOKEN]))
    with prefect_at(site.prefect), get_client(sync_client=True) as client:
        return client.read_flow_runs(deployment_filter=woken, sort=FlowRunSort.EXPECTED_START_TIME_ASC)


@pytest.mark.slow
def test_a_scheduled_ingest_versions_an_upload(site: Site) -> None:
    assert {line.split()[0] for line in site.deployed.splitlines() if " every " in line or " cron " in line} == FLOWS
    upload = site.versioned(site.upload("a", datetime.now(UTC)))
    git = ["git", "-C", str(site.origin), "log", "-1", "--format=%H", f"--grep=^Batch: {upload.batch}$", "main"]
    commit = subprocess.run(git, check=True, capture_output=True, text=True).stdout.strip()
    assert upload.revision == commit


@contextmanager
def schedule_paused(site: Site) -> Iterator[None]:
    """No polls meanwhile: they would only take the processor."""
    from prefect.client.orchestration import get_client

    with prefect_at(site.prefect), get_client(sync_client=True) as client:
        scheduled = client.read_deployment_by_name("ingest/scheduled").id
        client.pause_deployment(scheduled)
        try:
            yield
        finally:
            client.resume_deployment(scheduled)


@pytest.mark.slow
def test_a_notification_wakes_ingest_where_no_poll_looks_and_one_while_it_runs_is_not_lost(site: Site) -> None:
    """Both days are long past: the hints alone lead there."""
    first = site.upload("bb", datetime(2021, 3, 4, 5, tzinfo=UTC))
    until(lambda: is_listening(site), site)
    with schedule_paused(site):
        assert site.notify(first) == 200
        until(lambda: woken_runs(site), site)
        run_woken(site)  # one that is ready to start when the first is: they collide
        second = site.upload("ccc", datetime(2022, 3, 4, 5, tzinfo=UTC))
        assert site.notify(second) == 200
        assert site.versioned(first).batch
        runs = until(lambda: len(runs := woken_runs(site)) == 3 and runs, site)
        until(lambda: all(run.state.name not in UNTOUCHED for run in woken_runs(site)[:2]), site)
    assert [run.parameters["keys"] for run in runs] == [[first], None, [second]]
    assert not any(run.state.is_cancelled() for run in woken_runs(site))


def run_woken(site: Site) -> None:
    from prefect.client.orchestration import get_client

    with prefect_at(site.prefect), get_client(sync_client=True) as client:
        woken = client.read_deployment_by_name(f"ingest/{WOKEN}").id
        client.create_flow_run_from_deployment(woken, parameters={"keys": None})


def is_listening(site: Site) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{site.watch}/health", timeout=10) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


@pytest.mark.slow
def test_a_drift_in_the_field_starts_a_training_once_and_shows_on_prefects_page(site: Site) -> None:
    from flows.fleet import fleet

    now = datetime.now(UTC)
    even = dict.fromkeys(("basophil", "eosinophil", "lymphocyte", "monocyte", "neutrophil"), 100)
    keep_reference(Ledger(f"sqlite:///{site.home}/ledger.db"), Reference(7, "c0ffee", even, even, 500.0))
    for hours in range(60):
        told = Report("pi-7", now - timedelta(hours=hours), "0.1.0", 7, "passed", classified={"basophil": 5})
        site.bucket.write(report_key("pi-7", told.at), encode(told))
    with prefect_at(site.prefect):
        found = fleet(str(site.home.parent / "params.yaml"))
        again = fleet(str(site.home.parent / "params.yaml"))
    assert [line.split(": version")[0] for line in found["alarms"]] == ["device:pi-7, drift", "version:7, drift"]
    assert (found["new_reports"], found["asked"]) == (60, True)
    assert (again["new_reports"], again["asked"], len(again["alarms"])) == (0, False, 2)
    run = until(lambda: next((each for each in asked_runs(site) if each.state.type not in NOT_BEGUN), None), site)
    assert (run.parameters, run.state.type in ("RUNNING", "COMPLETED")) == ({"minimum_new_images": 1}, True)
    assert len(asked_runs(site)) == 1
    page = artifact(site, "fleet-answers")
    assert "![predicted classes](data:image/svg+xml;base64," in page
    assert "**device:pi-7**, drift: version 7: classes&#39; shares are 0.4" in page
    assert json.loads(artifact(site, "fleet"))[0]["device"] == "pi-7"


@pytest.mark.slow
def test_while_a_training_is_on_none_is_asked_for(site: Site) -> None:
    """Prefect would drop it: what is amiss is told by a later run."""
    from prefect.client.orchestration import get_client
    from prefect.states import Running

    with prefect_at(site.prefect), get_client(sync_client=True) as client:
        retrain = client.read_deployment_by_name(RETRAIN).id
        training = client.create_flow_run_from_deployment(retrain, state=Running())
        assert not ask("s3://another", ["why"])
        client.delete_flow_run(training.id)


def asked_runs(site: Site) -> list[Any]:
    """Trainings that the fleet's trigger started."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import FlowFilter, FlowFilterName

    retrain = FlowFilter(name=FlowFilterName(any_=["retrain"]))
    with prefect_at(site.prefect), get_client(sync_client=True) as client:
        runs = client.read_flow_runs(flow_filter=retrain)
    return [run for run in runs if run.created_by is not None and run.created_by.type == "AUTOMATION"]


def artifact(site: Site, key: str) -> str:
    from prefect.client.orchestration import get_client

    with prefect_at(site.prefect), get_client(sync_client=True) as client:
        found = client.request("GET", "/artifacts/{key}/latest", path_params={"key": key})
    return str(found.json()["data"])


@pytest.mark.slow
def test_a_prefect_that_is_away_or_was_never_told_is_said(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    with prefect_at(f"http://127.0.0.1:{free_port()}/api"), pytest.raises(TransientError, match="away"):
        wake("b", ("uploads/pi-1/2026/01/31/a.jpg",))
    with prefect_at(None), pytest.raises(ConfigError, match="prefect server start"):
        waiting()
    monkeypatch.setattr("flows.wake.WOKEN", "never-deployed")
    with prefect_at(site.prefect), pytest.raises(ConfigError, match="hemaloop deploy"):
        wake("b", ("uploads/pi-1/2026/01/31/a.jpg",))
