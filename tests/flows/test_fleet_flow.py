"""The fleet flow where nobody deployed a training: reports are taken in and judged all the same."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.deployments.runner import RunnerDeployment

from flows.asking import RETRAIN
from hemaloop.ingest.fleet.alarms import open_alarms
from hemaloop.ingest.ledger import Ledger
from hemaloop.protocol.documents import encode
from hemaloop.protocol.keys import report_key
from hemaloop.protocol.report import Report
from hemaloop.storage import Bucket

pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("prefect_harness"),
    # Prefect's own: its server's models, and the sockets of its clients.
    pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*unclosed.*socket:ResourceWarning"),
    pytest.mark.filterwarnings("ignore:.*unclosed.*socket:pytest.PytestUnraisableExceptionWarning"),
]

PARAMS = str(Path(__file__).parents[2] / "params.yaml")


@flow(name="retrain")
def trained(minimum_new_images: int = 0) -> None:
    """In the place of the flow that trains; nobody runs it here."""


def test_what_cannot_be_told_yet_is_kept_and_told_once_it_can_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from flows.fleet import fleet

    bucket = Bucket(f"file://{tmp_path}/bucket")
    bucket.create()
    monkeypatch.setenv("HEMALOOP_HOME", str(tmp_path))
    monkeypatch.setenv("HEMALOOP_BUCKET", bucket.url)
    monkeypatch.delenv("HEMALOOP_LEDGER", raising=False)
    told = Report("pi-1", datetime.now(UTC), "0.1.0", 7, "failed: golden image 3")
    bucket.write(report_key("pi-1", told.at), encode(told))
    found = fleet(PARAMS)
    assert (found["new_reports"], found["asked"], found["devices"][0]["self_test"]) == (1, False, told.self_test)
    assert found["alarms"] == ["device:pi-1, self-test: version 7: failed: golden image 3"]
    ledger = Ledger(f"sqlite:///{tmp_path}/ledger.db")
    assert [alarm.told_at for alarm in open_alarms(ledger)] == [None]
    with deployed():
        assert [fleet(PARAMS)["asked"] for _ in range(2)] == [True, False]
    assert [alarm.told_at is None for alarm in open_alarms(ledger)] == [False]


@contextmanager
def deployed() -> Iterator[None]:
    """As `hemaloop deploy` names the deployment that trains."""
    deployment = trained.to_deployment(RETRAIN.partition("/")[2])
    assert isinstance(deployment, RunnerDeployment)
    id_ = deployment.apply()
    try:
        yield
    finally:
        with get_client(sync_client=True) as client:
            client.delete_deployment(id_)
