"""One run over every kind of bad upload, on a real S3 server, git and DVC; and again with nothing new."""

import hashlib
from pathlib import Path

import pytest
from ingest_site import commits, environment, make_origin, revision_files, settings_of, upload
from pictures import picture

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
    bucket.write("uploads/notes.json", b"{}")
    bucket.write("uploads/alone.json", b"{}")
    return {
        upload(bucket, "truncated", faults.truncate(picture(10))): "truncated",
        upload(bucket, "empty", b""): "empty",
        upload(bucket, "text", b"not an image at all\n" * 200): "not_an_image",
        upload(bucket, "blurred", faults.blur(picture(11))): "out_of_focus",
        upload(bucket, "dark", faults.darken(picture(12))): "too_dark",
        upload(bucket, "bright", faults.overexpose(picture(13))): "clipped",
        upload(bucket, "located", faults.with_gps(picture(14))): "private_exif",
        upload(bucket, "mislabelled", picture(15), "werewolf"): "label_unknown",
        upload(bucket, "odd", picture(16), sidecar=b"{"): "sidecar_invalid",
        upload(bucket, "swapped", picture(17), sidecar=sidecar_of(bucket, good)): "sidecar_mismatch",
        "uploads/notes.txt": "misplaced",
    }


def sidecar_of(bucket: Bucket, data: bytes) -> bytes:
    key = upload(bucket, "good-0", data, "monocyte")
    return bucket.read(key.replace(".jpg", ".json"))


def test_every_upload_ends_where_it_belongs_and_a_second_run_changes_nothing(
    prefect_harness: None, bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from flows.ingest import ingest

    origin = make_origin(tmp_path)
    variables = environment(tmp_path / "home", bucket, origin)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    settings = settings_of(variables)
    reasons = upload_everything(bucket)
    upload(bucket, "later-same", picture(1), "monocyte")
    again = upload(bucket, "later-reencoded", faults.reencode(picture(2)), "monocyte")

    summary = ingest()

    ledger = Ledger(settings.ledger)
    assert {upload.key: upload.reason for upload in ledger.quarantined()} == reasons
    assert summary["accepted"] == 4
    assert summary["duplicates"] == 2
    assert [batch["images"] for batch in summary["batches"]] == [4]
    assert ledger.history(again)[0].upload.original == "uploads/pi-1/2026/11/20/good-2.jpg"
    files = revision_files(origin)
    batch = summary["batches"][0]["id"]
    for seed in range(4):
        assert hashlib.sha256(picture(seed)).hexdigest() in files[f"data/batches/{batch}.csv"]
    assert len(files[f"data/batches/{batch}.links.csv"].splitlines()) == 3
    assert f"Batch: {batch}" in commits(origin)[0]
    quarantined = {stored.key for stored in bucket.list("quarantine/")}
    assert {f"quarantine/{key.removeprefix('uploads/')}" for key in reasons} <= quarantined
    assert bucket.exists("docs/index.html")

    before = commits(origin), {stored.key: stored.modified for stored in bucket.list("")}, ledger.counts()
    assert ingest()["discovered"] == 0
    assert (commits(origin), {stored.key: stored.modified for stored in bucket.list("")}, ledger.counts()) == before
