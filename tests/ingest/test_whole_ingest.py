"""One run over every kind of bad upload, on a real S3 server, git and DVC; and again with nothing new."""

import hashlib
from datetime import UTC, datetime
from pathlib import Path

import pytest
from ingest_site import PARAMS, commits, environment, revision_files, settings_of, upload

from bench.images import speckles as picture
from drill.site import make_origin
from hemaloop.imaging import faults
from hemaloop.ingest.ledger import Ledger
from hemaloop.storage import Bucket

pytestmark = [pytest.mark.slow]


def upload_everything(bucket: Bucket) -> dict[str, str]:
    """Good pictures, and one upload of each kind that is refused: key -> reason."""
    for seed in range(4):
        upload(bucket, f"good-{seed}", picture(seed), "monocyte")
    good = picture(0)
    bucket.write("uploads/notes.txt", b"a note in the wrong place")
    bucket.write("uploads/alone.json", b"{}")
    return {
        upload(bucket, "truncated", faults.truncate(picture(10))): "truncated",
        upload(bucket, "empty", b""): "empty",
        upload(bucket, "text", b"not an image at all\n" * 200): "not_an_image",
        upload(bucket, "blurred", faults.blur(picture(11))): "out_of_focus",
        upload(bucket, "dark", faults.darken(picture(12))): "too_dark",
        upload(bucket, "bright", faults.overexpose(picture(13))): "clipped",
        upload(bucket, "mislabelled", picture(15), "werewolf"): "label_unknown",
        upload(bucket, "odd", picture(16), sidecar=b"{"): "sidecar_invalid",
        upload(bucket, "swapped", picture(17), sidecar=sidecar_of(bucket, good)): "sidecar_mismatch",
        "uploads/notes.txt": "misplaced",
    }


def check_artifacts(docs: str, refused: int) -> None:
    """The page of this very round is linked, and the pictures of what was refused are in the table; until they go."""
    from flows.ingest_artifacts import REFUSED, remove_pictures

    found = artifacts()
    link, table = found["data-docs"], found[REFUSED]
    page = link.split("](")[1].rstrip(")")
    assert page.startswith(f"{docs}/validations/uploads/")
    assert Path(page.removeprefix("file://")).is_file()
    assert table.startswith(f"# {refused} of ")
    assert table.count("](data:image/jpeg;base64,") == 6
    assert remove_pictures(datetime.min.replace(tzinfo=UTC), ["uploads/pi-1/2026/11/20/dark.jpg"])
    assert REFUSED not in artifacts()


def artifacts() -> dict[str, str]:
    """The newest of each key."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.sorting import ArtifactSort

    with get_client(sync_client=True) as client:
        found = client.read_artifacts(sort=ArtifactSort.CREATED_DESC)
        return {str(artifact.key): str(artifact.data) for artifact in reversed(found)}


def only_copy(bucket: Bucket, key: str) -> bytes:
    (stored,) = bucket.list("stripped/")
    assert not bucket.exists(key)
    return bucket.read(stored.key)


def sidecar_of(bucket: Bucket, data: bytes) -> bytes:
    key = upload(bucket, "good-0", data, "monocyte")
    return bucket.read(key.replace(".jpg", ".json"))


def test_every_upload_ends_where_it_belongs_and_a_second_run_changes_nothing(
    prefect_harness: None, bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from flows.ingest import ingest
    from flows.reconcile import reconcile

    origin = make_origin(tmp_path)
    variables = environment(tmp_path / "home", bucket, origin)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    settings = settings_of(variables)
    params = str(tmp_path / "params.yaml")
    Path(params).write_text(PARAMS.read_text().replace("settle_seconds: 30", "settle_seconds: 0"))
    reasons = upload_everything(bucket)
    located = upload(bucket, "located", faults.with_gps(picture(14)))
    upload(bucket, "later-same", picture(1), "monocyte")
    again = upload(bucket, "later-reencoded", faults.reencode(picture(2)), "monocyte")

    summary = ingest(params)

    ledger = Ledger(settings.ledger)
    assert {upload.key: upload.reason for upload in ledger.quarantined()} == reasons
    assert summary["accepted"] == 5
    assert summary["duplicates"] == 2
    assert [batch["images"] for batch in summary["batches"]] == [5]
    assert ledger.history(located)[0].upload.sha256 == hashlib.sha256(picture(14)).hexdigest()
    assert ledger.history(again)[0].upload.original == "uploads/pi-1/2026/11/20/good-2.jpg"
    files = revision_files(origin)
    batch = summary["batches"][0]["id"]
    for seed in range(4):
        assert hashlib.sha256(picture(seed)).hexdigest() in files[f"data/batches/{batch}.csv"]
    assert len(files[f"data/batches/{batch}.links.csv"].splitlines()) == 3
    assert f"Batch: {batch}" in commits(origin)[0]
    quarantined = {stored.key for stored in bucket.list("quarantine/")}
    assert {f"quarantine/{key.removeprefix('uploads/')}" for key in (*reasons, located)} <= quarantined
    assert bucket.exists("docs/index.html")
    check_artifacts(settings.docs, len(reasons))

    before = commits(origin), {stored.key: stored.modified for stored in bucket.list("")}, ledger.counts()
    assert ingest(params, keys=[again])["discovered"] == 0
    assert (commits(origin), {stored.key: stored.modified for stored in bucket.list("")}, ledger.counts()) == before

    bucket.write("uploads/pi-1/1970/01/01/wrong-clock.jpg", picture(20))
    assert ingest(params)["discovered"] == 0
    found = reconcile(params)
    assert (found["entered"], found["missed"], found["lists"]) == (1, 1, 1)
