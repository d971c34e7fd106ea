"""The flows: what the signatures say becomes what MLflow says, and people are called in time."""

from datetime import timedelta
from pathlib import Path

import pytest
from release_site import PEOPLE, CutError, DyingBucket, Site, now

from hemaloop.release.keys.ceremony import hold_ceremony
from hemaloop.release.parameters import Expiries
from hemaloop.release.publish import publish, status
from hemaloop.storage import Bucket

pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("prefect_harness"),
    # Prefect's own: its server's models, and the sockets of its clients.
    pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*unclosed.*socket:ResourceWarning"),
    pytest.mark.filterwarnings("ignore:.*unclosed.*socket:pytest.PytestUnraisableExceptionWarning"),
]

PARAMS = Path(__file__).parent.parent.parent / "params.yaml"


@pytest.fixture
def installed(folder_site: Site, monkeypatch: pytest.MonkeyPatch) -> Site:
    """The site, as the environment names it."""
    monkeypatch.setenv("HEMALOOP_HOME", str(folder_site.folder / "home"))
    monkeypatch.setenv("HEMALOOP_BUCKET", folder_site.bucket.url)
    monkeypatch.setenv("HEMALOOP_KEYS", str(folder_site.online))
    monkeypatch.setenv("HEMALOOP_MLFLOW", f"sqlite:///{folder_site.folder}/mlflow.db")
    return folder_site


def register(site: Site, versions: int) -> str:
    """Registered versions in a real MLflow, as the retrain flow leaves them; its address."""
    from hemaloop.registry.versions import MODEL, connect

    uri = f"sqlite:///{site.folder}/mlflow.db"
    client = connect(uri)
    client.create_experiment("test", str(site.folder / "artifacts"))
    client.create_registered_model(MODEL)
    for number in range(1, versions + 1):
        run = client.create_run(client.get_experiment_by_name("test").experiment_id)
        tags = {"revision": f"{number:040x}"}
        client.create_model_version(MODEL, f"runs:/{run.info.run_id}/model", run.info.run_id, tags=tags)
    return uri


def test_the_champion_is_what_the_approvers_signed_and_the_channel_names(installed: Site) -> None:
    from flows.release import release
    from hemaloop.registry.versions import CHAMPION, aliased

    site = installed
    uri = register(site, 3)
    assert release(str(PARAMS)) is None

    site.approve(1, ["anna"])
    assert release(str(PARAMS)) is None
    assert aliased(uri, CHAMPION) is None

    site.approve(1, ["bob"])
    assert release(str(PARAMS)) == 1
    assert aliased(uri, CHAMPION) == 1
    assert site.device().channel() == 1

    site.approve(3, ["bob", "chloe"])
    dying = DyingBucket(site.bucket, dies_at=8, done=False)  # the timestamp is written, who approved is not
    with pytest.raises(CutError):
        publish(dying, site.online, "stable", now())
    assert (site.device().channel(), aliased(uri, CHAMPION)) == (3, 1)
    assert release(str(PARAMS)) == 3
    assert aliased(uri, CHAMPION) == 3
    assert [a.statement.person for a in status(site.bucket, now()).releases[-1].approvals] == ["bob", "chloe"]


def test_refresh_signs_anew_and_calls_people_in_time(
    tmp_path: Path, installed: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    from prefect.client.orchestration import get_client

    from flows.release import refresh

    before = installed.bucket.read("releases/metadata/timestamp.json")
    assert refresh(str(PARAMS)) == []
    assert installed.bucket.read("releases/metadata/timestamp.json") != before

    ageing = Bucket(f"file://{tmp_path}/ageing")
    ageing.create()
    hold_ceremony(ageing, tmp_path / "o", tmp_path / "k", PEOPLE, 2, now() - timedelta(days=340), Expiries())
    monkeypatch.setenv("HEMALOOP_BUCKET", ageing.url)
    monkeypatch.setenv("HEMALOOP_KEYS", str(tmp_path / "k"))

    lines = refresh(str(PARAMS))

    assert [line.split(" expires in ")[0] for line in lines] == ["root 1", "targets 1"]
    with get_client(sync_client=True) as client:
        artifact = client.request("GET", "/artifacts/{key}/latest", path_params={"key": "signatures-expire"}).json()
    assert "root 1 expires in" in artifact["data"]
