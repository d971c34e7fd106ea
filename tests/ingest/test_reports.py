"""Reports of devices: each is taken once, and added up."""

from datetime import UTC, datetime
from pathlib import Path

from hemaloop.ingest.ledger import Ledger
from hemaloop.ingest.reports import collect, fleet
from hemaloop.protocol.documents import encode
from hemaloop.protocol.keys import report_key
from hemaloop.protocol.report import Report
from hemaloop.storage import Bucket

FIRST, LAST = datetime(2026, 11, 20, 9, tzinfo=UTC), datetime(2026, 11, 20, 10, tzinfo=UTC)


def test_a_report_is_taken_once_and_what_devices_said_is_added_up(ledger_url: str, tmp_path: Path) -> None:
    bucket = Bucket(f"file://{tmp_path}/bucket")
    for at in (LAST, FIRST):
        told = Report("pi-1", at, "0.1.0", 7, "passed", uploaded=2, classified={"monocyte": 3})
        bucket.write(report_key("pi-1", at), encode(told))
    bucket.write(report_key("pi-2", LAST), encode(Report("pi-1", LAST, "0.1.0", 7, "passed")))
    bucket.write(report_key("pi-3", LAST), b"not JSON")
    ledger = Ledger(ledger_url)
    assert (collect(ledger, bucket), collect(ledger, bucket)) == (2, 0)
    (state,) = fleet(ledger)
    assert (state.device, state.last_seen, state.uploaded, state.classified) == ("pi-1", LAST, 4, 6)
