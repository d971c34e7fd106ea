"""`hemaloop trace`: from an answer to the images behind its model, and from an upload to the devices that ran one."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from subprocess import run

import pytest
from sqlalchemy import insert, update

from hemaloop.cli import main
from hemaloop.dataset.records import SealedImage, SealedLink, images_path, links_path, to_csv
from hemaloop.ingest.fleet.collecting import collect
from hemaloop.ingest.fleet.parameters import FleetParams
from hemaloop.ingest.fleet.sums import Taken, add
from hemaloop.ingest.fleet.table import references
from hemaloop.ingest.ledger import Ledger, enter
from hemaloop.ingest.schema import batches, uploads
from hemaloop.ingest.states import State
from hemaloop.protocol.documents import encode
from hemaloop.protocol.keys import report_key
from hemaloop.protocol.report import Answer, Report
from hemaloop.storage import Bucket

pytestmark = pytest.mark.slow  # MLflow

NOW = datetime.now(UTC).replace(microsecond=0)
PARAMS = FleetParams(3, 3600, 7, 0.2, 0.1, 0.05, 24, 400)
PREDICTIONS = "sha256,group,actual,predicted,p_a,p_b\n1,p1,a,b,0.3,0.7\n2,p1,b,b,0.1,0.9\n"
ANSWERED = "uploads/pi-9/2026/11/20/field-1.jpg"
Hemaloop = Callable[..., str]


def upload_of(number: int) -> str:
    return f"uploads/pi-{number % 2}/2026/11/01/cell-{number}.jpg"


def sha256_of(number: int) -> str:
    return f"{number:064x}"


def sealed(number: int, side: str, group: str, label: str | None = "monocyte") -> SealedImage:
    return SealedImage(
        sha256_of(number), ".jpg", label, None, group, side, f"pi-{number % 2}", None, None, None, None, NOW,
        upload_of(number),
    )  # fmt: skip


@dataclass
class Installation:
    """Two dataset revisions, a version registered from each, and a device that ran one of them."""

    home: Path
    revisions: tuple[str, str]


def git(folder: Path, *arguments: str) -> str:
    named = ("-c", "user.name=bot", "-c", "user.email=bot@localhost")
    done = run(["git", *named, *arguments], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def commit_batch(origin: Path, batch: str, images: list[SealedImage], links: tuple[SealedLink, ...] = ()) -> str:
    folder = origin / "data/batches"
    folder.mkdir(parents=True, exist_ok=True)
    images_path(folder, batch).write_bytes(to_csv(images, SealedImage))
    if links:
        links_path(folder, batch).write_bytes(to_csv(links, SealedLink))
    git(origin, "add", "-A")
    git(origin, "commit", "-qm", f"Add {len(images)} images\n\nBatch: {batch}")
    return git(origin, "rev-parse", "HEAD")


def register(uri: str, home: Path, revisions: tuple[str, str]) -> None:
    """As the retrain flow leaves it."""
    from hemaloop.registry.versions import MODEL, connect

    client = connect(uri)
    experiment = client.create_experiment("test", (home / "artifacts").as_uri())
    client.create_registered_model(MODEL)
    for revision in revisions:
        made = client.create_run(experiment)
        client.log_text(made.info.run_id, PREDICTIONS, "evaluation/predictions.csv")
        client.create_model_version(MODEL, made.info.artifact_uri, made.info.run_id, tags={"revision": revision})


def enter_uploads(ledger: Ledger, bucket: Bucket) -> None:
    """Three images and a duplicate of the first, in two batches."""
    for number in range(5):
        bucket.write(upload_of(number), b"x")
    bucket.write(ANSWERED, b"x")
    with ledger.writing() as connection:
        enter(connection, bucket.url, list(bucket.list("uploads/")), "watch", NOW, {})
        sealed_at = {"sealed_at": NOW, "images": 2}
        connection.execute(insert(batches), [{"id": name, **sealed_at} for name in ("b1", "b2")])
        for number, batch in ((0, "b1"), (1, "b1"), (2, "b2"), (3, "b2")):
            values = {"sha256": sha256_of(number), "batch": batch, "state": State.VERSIONED}
            connection.execute(update(uploads).where(uploads.c.key == upload_of(number)).values(values))
        original = connection.execute(uploads.select().where(uploads.c.key == upload_of(0))).one().id
        same = {"sha256": "f" * 64, "batch": "b2", "state": State.DUPLICATE, "original": original}
        connection.execute(update(uploads).where(uploads.c.key == upload_of(4)).values(same))


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    home = tmp_path_factory.mktemp("traced")
    origin = home / "origin"
    origin.mkdir()
    git(origin, "init", "-q", "-b", "main")
    first = commit_batch(origin, "b1", [sealed(0, "train", "a"), sealed(1, "test", "b")])
    # Group c, in training, turns out to be group b, of the test side.
    link = SealedLink("c", sha256_of(1), "near", "pi-1", None, None, NOW)
    second = commit_batch(origin, "b2", [sealed(2, "train", "c"), sealed(3, "train", "d", label=None)], (link,))
    register(f"sqlite:///{home}/mlflow.db", home, (first, second))
    bucket, ledger = Bucket(f"file://{home}/bucket"), Ledger(f"sqlite:///{home}/ledger.db")
    bucket.create()
    enter_uploads(ledger, bucket)
    said = Report("pi-9", NOW, "0.1.0", 2, "passed", classified={"monocyte": 3})
    told = replace(said, answers=(Answer(ANSWERED, 2, "monocyte", 0.914), Answer("lost", 5, "basophil", 0.5)))
    bucket.write(report_key("pi-9", NOW), encode(told))
    collect(ledger, bucket, PARAMS, NOW)
    return Installation(home, (first, second))


@pytest.fixture
def hemaloop(
    installation: Installation, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Hemaloop:
    """Run a command there; what it printed."""
    monkeypatch.setenv("HEMALOOP_HOME", str(installation.home))
    monkeypatch.setenv("HEMALOOP_REPOSITORY", str(installation.home / "origin"))
    for name in ("HEMALOOP_LEDGER", "HEMALOOP_MLFLOW"):
        monkeypatch.delenv(name, raising=False)

    def command(*line: str) -> str:
        with pytest.raises(SystemExit) as ended:
            main(list(line))
        told = capsys.readouterr()
        assert ended.value.code == 0, told.err
        return told.out

    return command


def test_an_answer_leads_to_its_upload_its_model_and_every_image_behind_it(
    hemaloop: Hemaloop, installation: Installation
) -> None:
    (found,) = json.loads(hemaloop("trace", "prediction", "pi-9", "field-1", "--json"))
    assert (found["prediction"]["label"], found["prediction"]["probability"]) == ("monocyte", 0.914)
    assert [trace["upload"]["key"] for trace in found["upload"]] == [ANSWERED]
    model = found["model"]
    assert (model["version"], model["revision"]) == (2, installation.revisions[1])
    assert model["run"]
    assert {batch["id"]: batch["commit"] for batch in model["batches"]} == dict(
        zip(("b1", "b2"), installation.revisions, strict=True)
    )
    assert {image["upload"]: image["side"] for image in model["images"]} == {
        upload_of(0): "train",
        upload_of(1): "test",
        upload_of(2): "excluded",
    }
    assert [(ran["device"], ran["images"]) for ran in model["ran"]] == [("pi-9", 3)]
    told = hemaloop("trace", "prediction", "pi-9", ANSWERED, "--images")
    for line in ("monocyte, 0.914, by version 2", "sides: test 1, train 1; devices: pi-0 1, pi-1 1", upload_of(2)):
        assert line in told


def test_an_answer_of_a_model_that_is_not_registered_says_so(hemaloop: Hemaloop) -> None:
    told = hemaloop("trace", "prediction", "pi-9", "lost")
    assert "basophil, 0.500, by version 5" in told
    assert "the ledger has no upload of it" in told
    assert "MLflow knows no such version" in told
    with pytest.raises(AssertionError, match="neither MLflow nor any device knows it"):
        hemaloop("trace", "model", "5")
    with pytest.raises(AssertionError, match="no report speaks of a capture 'never'"):
        hemaloop("trace", "prediction", "pi-9", "never")


def test_an_upload_leads_to_the_models_it_was_trained_with_and_who_ran_them(hemaloop: Hemaloop) -> None:
    def models(number: int) -> list[tuple[int, str, list[str]]]:
        found = json.loads(hemaloop("trace", "upload", upload_of(number), "--json"))["models"]
        return [(each["version"], each["side"], [ran["device"] for ran in each["ran"]]) for each in found]

    assert models(0) == [(1, "train", []), (2, "train", ["pi-9"])]
    assert models(1) == [(1, "test", []), (2, "test", ["pi-9"])]
    assert models(2) == [(2, "excluded", ["pi-9"])]
    assert models(3) == [(2, "unlabelled", ["pi-9"])]
    assert models(4) == models(0)  # the same picture
    told = hemaloop("trace", "upload", upload_of(0))
    assert told.startswith(hemaloop("why", upload_of(0)))
    assert "it is on side train there" in told
    assert "ran on pi-9" in told
    told = hemaloop("trace", "upload", ANSWERED)
    assert "pi-9 answered to field-1: monocyte, 0.914, by version 2" in told
    assert "no registered model's dataset revision holds it" in told


def test_a_version_leads_both_ways(hemaloop: Hemaloop) -> None:
    first, second = (json.loads(hemaloop("trace", "model", str(number), "--json")) for number in (1, 2))
    assert [image["upload"] for image in first["images"]] == [upload_of(0), upload_of(1)]
    assert (len(second["images"]), len(second["ran"])) == (3, 1)
    assert "no device has reported to run it" in hemaloop("trace", "model", "1")


@pytest.mark.usefixtures("hemaloop")
def test_what_a_model_in_the_field_is_compared_with_comes_from_its_mlflow_run(installation: Installation) -> None:
    from tasks.fleet import learn_references

    ledger = Ledger(f"sqlite:///{installation.home}/ledger.db")
    stranger = Taken("k", Report("pi-8", NOW, "0.1.0", 99, "passed", classified={"a": 1}), NOW)
    with ledger.writing() as connection:
        add(connection, [stranger])  # a version that MLflow does not know is no error
    assert learn_references.fn(PARAMS) == [2]
    assert learn_references.fn(PARAMS) == []
    found = references(ledger)[2]
    assert (found.revision, found.predicted, found.labels) == (installation.revisions[1], {"b": 2}, {"a": 1, "b": 1})
    assert (found.worth, found.confidence) == (1.0, (0, 0, 0, 0, 0, 0, 0, 1, 0, 1))
