"""Every hostile or broken file that we know to make ends in quarantine for its reason; odd, harmless ones do not."""

from pathlib import Path

import pytest
from ingest_site import PARAMS, settings_of, upload

from hemaloop.config import Settings
from hemaloop.imaging.hostile import corpus, harmless
from hemaloop.ingest.ledger import Ledger
from hemaloop.ingest.states import State
from hemaloop.storage import Bucket
from tasks import ingest_steps as steps

PRIVATE = frozenset({"private_exif"})  # by default a copy without it is taken in


def _suffix(data: bytes) -> str:
    return ".png" if data.startswith(b"\x89PNG") else ".jpg"


@pytest.mark.slow
def test_hostile_files_end_in_quarantine_for_their_reason_and_harmless_ones_do_not(tmp_path: Path) -> None:
    bucket = Bucket(f"file://{tmp_path}/bucket")
    bucket.create()
    settings = settings_of({"HEMALOOP_HOME": f"{tmp_path}/home", "HEMALOOP_BUCKET": bucket.url})
    hostile = {
        upload(bucket, f"hostile-{number:03d}", data, suffix=_suffix(data)): (name, reasons)
        for number, (name, (data, reasons)) in enumerate(sorted(corpus(3).items()))
    }
    tame = {
        upload(bucket, f"harmless-{number:03d}", data, suffix=_suffix(data)): name
        for number, (name, data) in enumerate(sorted(harmless(3).items()))
    }
    _ingest_once(settings)
    ledger = Ledger(settings.ledger)
    found = {key: ledger.history(key)[-1].upload for key in (*hostile, *tame)}
    assert sum(reasons != PRIVATE for _, reasons in hostile.values()) >= 40
    for key, (name, reasons) in hostile.items():
        upload_ = found[key]
        if reasons == PRIVATE:
            assert upload_.state in (State.ACCEPTED, State.DUPLICATE), name
            assert upload_.sent_sha256 != upload_.sha256, name
        else:
            assert (upload_.state, upload_.reason in reasons) == (State.QUARANTINED, True), f"{name}: {upload_.reason}"
    wrongly = {name: found[key].reason for key, name in tame.items() if found[key].state is State.QUARANTINED}
    assert not wrongly


def _ingest_once(settings: Settings) -> None:
    """Up to the settled round."""
    steps.discover(settings, PARAMS, "test")
    claimed = steps.claim(settings, PARAMS, "test")
    measured = [found for chunk in steps.plan_chunks(settings, PARAMS, claimed) for found in steps.measure(chunk)]
    judgement = steps.judge(settings, PARAMS, measured)
    steps.settle(settings, PARAMS, measured, judgement, "test")
