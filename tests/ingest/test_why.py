"""`hemaloop why` tells all that the ledger knows of an upload."""

import pytest
from ledger_site import LATER, NOW, measured_as, small_site

from hemaloop.cli import main
from hemaloop.ingest.claims import claim
from hemaloop.ingest.ledger import set_columns
from hemaloop.ingest.sealing import mark_versioned, seal, unversioned
from hemaloop.ingest.settle import settle
from hemaloop.protocol.documents import encode
from hemaloop.protocol.sidecar import Sidecar


def test_why_tells_history_batch_revision_patient_and_copy(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with small_site(1) as (ledger, bucket):
        (upload,) = claim(ledger, bucket.url, "run-1", 1, 600, LATER)
        settle(ledger, bucket, [measured_as(upload.id, upload.key, 1)], {}, "run-1", 6, LATER)
        said = Sidecar("0" * 64, "pi-1", NOW, slide="s-3", patient="p-7")
        with ledger.writing() as connection:
            set_columns(connection, {upload.id: {"sidecar": encode(said).decode(), "stored_key": "stripped/c0.jpg"}})
        seal(ledger, 9, lambda *_: "b1", "run-1", LATER)
        (batch,) = unversioned(ledger)
        mark_versioned(ledger, batch, "c0ffee", "run-2", LATER)
        monkeypatch.setenv("HEMALOOP_LEDGER", ledger.url)
        with pytest.raises(SystemExit, match="0"):
            main(["why", upload.key])
        told = capsys.readouterr().out
    for line in ("discovered", "claimed", "accepted", "sealed in batch b1", "in revision c0ffee  [run-2]"):
        assert line in told
    for known in ("slide s-3, patient p-7", "stripped/c0.jpg", "batch b1, dataset revision c0ffee"):
        assert known in told
