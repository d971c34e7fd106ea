"""A bucket, a ledger, and the steps of ingest that find and settle; no Great Expectations, no git."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

from ingest_site import PARAMS

from hemaloop.config import read_classes, read_section
from hemaloop.ingest.claims import claim
from hemaloop.ingest.entering import Finder
from hemaloop.ingest.ledger import Ledger
from hemaloop.ingest.measuring import Chunk, Measured, measure_chunk
from hemaloop.ingest.parameters import IngestParams
from hemaloop.ingest.reconciling import Reconciliation, last_reconciliation, reconcile
from hemaloop.ingest.records import Trace, Upload
from hemaloop.ingest.rules import Refusal
from hemaloop.ingest.sealing import mark_versioned, seal, unversioned
from hemaloop.ingest.settle import settle
from hemaloop.ingest.states import State
from hemaloop.ingest.watch import discover
from hemaloop.protocol.documents import encode
from hemaloop.protocol.keys import UploadKey, sidecar_key
from hemaloop.protocol.sidecar import Sidecar
from hemaloop.storage import Bucket

CLASSES = read_classes(PARAMS)
TODAY = datetime.now(UTC).date()
LONG_AGO, LONG_AFTER = date(1970, 1, 1), date(2099, 12, 31)  # where devices with wrong clocks put things


class Site:
    """A bucket, a ledger, and the steps of ingest that find and settle."""

    def __init__(self, bucket: Bucket, folder: Path, ledger: str = "") -> None:
        self.bucket, self.folder = bucket, folder
        self.ledger = Ledger(ledger or f"sqlite:///{folder}/ledger.db")
        self.params = replace(read_section(PARAMS, "ingest", IngestParams), settle_seconds=0)

    def put(self, capture: str, data: bytes = b"an image", day: date = TODAY) -> str:
        key = str(UploadKey("pi-1", day, capture))
        self.bucket.write(key, data)
        return key

    def put_sidecar(self, key: str, data: bytes, **said: str | None) -> None:
        place = Sidecar(hashlib.sha256(data).hexdigest(), "pi-1", datetime(2026, 11, 20, 9, tzinfo=UTC))
        self.bucket.write(sidecar_key(key), encode(replace(place, **said)))  # type: ignore[arg-type]

    def poll(self, hints: Sequence[str] = (), params: IngestParams | None = None) -> int:
        """Every poll but the first, which would look at everything."""
        if last_reconciliation(self.ledger, self.bucket.url) is None:
            self.reconcile()
        now = datetime.now(UTC)
        return discover(self.ledger, self.bucket, params or self.params, CLASSES, now, "poll", hints)

    def reconcile(self, bucket: Bucket | None = None, params: IngestParams | None = None) -> Reconciliation:
        now, bucket = datetime.now(UTC), bucket or self.bucket
        return reconcile(Finder(self.ledger, bucket, params or self.params, CLASSES, now, "reconciliation"))

    def claim(self) -> tuple[Upload, ...]:
        return claim(self.ledger, self.bucket.url, "run", 100, 600, datetime.now(UTC))

    def measure(self, claimed: Sequence[Upload]) -> list[Measured]:
        return measure_chunk(Chunk(self.bucket.url, tuple(claimed), CLASSES, 2**20, self.folder / "staged"))

    def settle(self, measured: Sequence[Measured]) -> None:
        refused = {found.upload: Refusal(found.reading, found.note) for found in measured if found.reading}
        settle(self.ledger, self.bucket, measured, refused, "run", 6, datetime.now(UTC))

    def ingest(self) -> None:
        self.settle(self.measure(self.claim()))

    def trace(self, key: str) -> Trace:
        (trace,) = self.ledger.history(key)
        return trace

    def states(self, key: str) -> list[tuple[State, str]]:
        return [(trace.upload.state, trace.upload.reason) for trace in self.ledger.history(key)]

    def version(self) -> None:
        now = datetime.now(UTC)
        seal(self.ledger, 9, lambda images, links: f"{images[0].id:016x}", "run", now)
        for batch in unversioned(self.ledger):
            mark_versioned(self.ledger, batch, "c0ffee", "run", now)

    def path_of(self, key: str) -> Path:
        return Path(self.bucket.url.removeprefix("file://")) / key
