"""Images that vanish or change between being listed, measured and versioned take no other image with them."""

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest
from ingest_site import PARAMS, environment, settings_of, upload

from bench.images import speckles as picture
from drill.site import make_origin
from hemaloop.config import Settings
from hemaloop.ingest.claims import claimant
from hemaloop.ingest.ledger import Ledger
from hemaloop.ingest.measuring import Chunk, measure_chunk
from hemaloop.ingest.records import Upload
from hemaloop.ingest.rules import VANISHED, Judgement
from hemaloop.ingest.staging import Staging
from hemaloop.ingest.states import State
from hemaloop.storage import Bucket
from tasks import ingest_steps as steps


@pytest.fixture
def bucket_(tmp_path: Path) -> Bucket:
    bucket = Bucket(f"file://{tmp_path}/bucket")
    bucket.create()
    return bucket


def measure_and_settle(settings: Settings, owner: str) -> None:
    claimed = steps.claim(settings, PARAMS, owner)
    chunks = [steps.measure(chunk) for chunk in steps.plan_chunks(settings, PARAMS, claimed)]
    measured = [found for chunk in chunks for found in chunk]
    steps.settle(settings, PARAMS, measured, Judgement({}), owner)  # all are good


@pytest.mark.slow
def test_what_vanished_after_it_was_sealed_goes_to_quarantine_and_the_others_are_versioned(
    bucket_: Bucket, tmp_path: Path
) -> None:
    settings = settings_of(environment(tmp_path / "home", bucket_, make_origin(tmp_path)))
    ledger, staging = Ledger(settings.ledger), Staging(settings.home / "staged")
    keys = [upload(bucket_, f"good-{seed}", picture(seed)) for seed in range(3)]
    with claimant(ledger, settings.home / "claims") as owner:
        steps.discover(settings, PARAMS, owner)
        measure_and_settle(settings, owner)
        assert steps.seal(settings, PARAMS, owner) == 1
        bucket_.delete(keys[1])
        staging.forget([hashlib.sha256(picture(1)).hexdigest()])
        versioned = list(
            steps.version_all(
                lambda: steps.claim_batch(settings, PARAMS, owner),
                lambda sealed: steps.version(settings, PARAMS, sealed, owner),
            )
        )
    assert [len(sealed.images) for sealed, _ in versioned] == [2]
    states = {key: ledger.history(key)[0].upload.state for key in keys}
    assert states == {keys[0]: State.VERSIONED, keys[1]: State.QUARANTINED, keys[2]: State.VERSIONED}
    assert ledger.history(keys[1])[0].upload.reason == "vanished"


@pytest.mark.slow
def test_what_was_overwritten_after_it_was_listed_is_not_measured_under_the_old_ones_name(any_bucket: Bucket) -> None:
    key = upload(any_bucket, "x", picture(0))
    listed = next(stored for stored in any_bucket.list("uploads/") if stored.key == key)
    row = Upload(1, any_bucket.url, key, listed.etag, listed.size, listed.modified, State.CLAIMED)
    chunk = Chunk(any_bucket.url, (row,), ("monocyte",), 10**6, staged=None)
    (before,) = measure_chunk(chunk)
    assert before.reading == ""
    assert before.measures is not None
    upload(any_bucket, "x", picture(1))
    (after,) = measure_chunk(chunk)
    assert (after.reading, after.measures) == (VANISHED, None)
    (later,) = measure_chunk(replace(chunk, uploads=(replace(row, etag=any_bucket.fetch(key).etag),)))
    assert later.measures is not None
    assert later.measures.sha256 == hashlib.sha256(picture(1)).hexdigest()
