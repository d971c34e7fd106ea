"""Private metadata never gets past ingest, and what consent was withdrawn for does not stay; killed anywhere, too."""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from ingest_site import CAPTURED
from ledger_site import LATER, MEMORY, enter_all
from sqlalchemy import Connection, insert

from bench.images import speckles as picture
from hemaloop.imaging import faults
from hemaloop.imaging.measure import measure
from hemaloop.ingest.claims import claim
from hemaloop.ingest.ledger import Ledger
from hemaloop.ingest.measuring import Chunk, Measured, measure_chunk
from hemaloop.ingest.originals import purge_originals
from hemaloop.ingest.privacy import QUARANTINE, STRIP_AND_DROP, STRIP_AND_QUARANTINE, without_private
from hemaloop.ingest.quarantine import release
from hemaloop.ingest.rules import Refusal
from hemaloop.ingest.schema import tombstones, uploads
from hemaloop.ingest.settle import Settled, settle
from hemaloop.ingest.staging import Staging
from hemaloop.ingest.states import State
from hemaloop.protocol.documents import encode
from hemaloop.protocol.keys import UploadKey, sidecar_key
from hemaloop.protocol.sidecar import Sidecar
from hemaloop.storage import Bucket

LOCATED = faults.with_gps(picture(1))


class Killed(BaseException):
    """The process is gone."""


class Dying:
    """Ends everything at the `at`-th effect on bucket or ledger."""

    def __init__(self, at: int) -> None:
        self.left = at

    def tick(self) -> None:
        self.left -= 1
        if self.left == 0:
            raise Killed


class DyingBucket(Bucket):
    def __init__(self, url: str, dying: Dying) -> None:
        super().__init__(url)
        self.dying = dying

    def write(self, key: str, data: bytes) -> None:
        self.dying.tick()
        super().write(key, data)

    def delete(self, key: str) -> None:
        self.dying.tick()
        super().delete(key)


class DyingLedger(Ledger):
    def __init__(self, url: str, dying: Dying) -> None:
        super().__init__(url)
        self.dying = dying

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        with super().writing() as connection:
            yield connection
            self.dying.tick()
        self.dying.tick()


@dataclass
class Site:
    """A bucket on a folder and a ledger; one run with one owner."""

    folder: Path
    policy: str

    def __post_init__(self) -> None:
        self.bucket = Bucket(f"file://{self.folder}/bucket")
        self.bucket.create()
        self.ledger = Ledger(f"sqlite:///{self.folder}/ledger.db")

    def send(self, capture: str, data: bytes, patient: str | None = None) -> str:
        key = str(UploadKey("pi-1", CAPTURED.date(), capture))
        self.bucket.write(key, data)
        said = Sidecar(hashlib.sha256(data).hexdigest(), "pi-1", CAPTURED, patient=patient, label="monocyte")
        self.bucket.write(sidecar_key(key), encode(said))
        return key

    def ingest(self, refuse: str = "", dying: Dying | None = None) -> Settled:
        """One round; the upload whose key holds `refuse` is refused."""
        enter_all(self.ledger, self.bucket)
        claim(self.ledger, self.bucket.url, "run", 100, 600, LATER)
        measured = self.measure()
        refused = {found.upload: Refusal(found.reading or "too_dark") for found in measured if found.reading}
        refused |= {found.upload: Refusal("too_dark") for found in measured if refuse and refuse in found.key}
        refused |= {m.upload: Refusal("private_exif") for m in measured if m.measures and m.measures.private_exif}
        ledger, bucket = self.ledger, self.bucket
        if dying:
            ledger, bucket = DyingLedger(ledger.url, dying), DyingBucket(bucket.url, dying)
        return settle(ledger, bucket, measured, refused, "run", 6, LATER)

    def measure(self) -> list[Measured]:
        from hemaloop.ingest.claims import held

        with self.ledger.reading() as connection:
            mine = tuple(u for u in held(connection, "run") if not u.key.endswith(".json"))
        if not mine:
            return []
        return measure_chunk(Chunk(self.bucket.url, mine, ("monocyte",), 10**7, None, self.policy))

    def look(self) -> dict[str, Any]:
        """All that bucket and ledger hold, but for times."""
        objects = {s.key: hashlib.sha256(self.bucket.read(s.key)).hexdigest() for s in self.bucket.list("")}
        traces = [trace for key in self.keys() for trace in self.ledger.history(key)]
        rows = [
            (u.key, u.state, u.reason, u.sha256, u.sent_sha256, u.stored_key, u.quarantine_key, u.original)
            for u in (trace.upload for trace in traces)
        ]
        begun = {State.DISCOVERED, State.CLAIMED}  # how often depends on how often it was killed
        notes = [[(c.state, c.note) for c in trace.changes if c.state not in begun] for trace in traces]
        return {"objects": objects, "rows": rows, "notes": notes}

    def keys(self) -> list[str]:
        return [str(UploadKey("pi-1", CAPTURED.date(), name)) for name in ("again", "located", "plain", "taken")]

    def upload(self, key: str) -> Any:
        return self.ledger.history(key)[-1].upload


@pytest.fixture
def site_with(tmp_path: Path) -> Callable[[str], Site]:
    return lambda policy: Site(tmp_path, policy)


def decoded(data: bytes) -> np.ndarray:
    found: np.ndarray = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    return found


@pytest.mark.parametrize("policy", [STRIP_AND_QUARANTINE, STRIP_AND_DROP])
def test_what_is_taken_in_is_a_copy_without_the_place_and_with_the_same_pixels(
    site_with: Callable[[str], Site], tmp_path: Path, policy: str
) -> None:
    site = site_with(policy)
    key = site.send("located", LOCATED, patient="p-1")
    assert site.ingest().accepted == 1
    upload = site.upload(key)
    kept = Staging(tmp_path / "staged").read(site.bucket, upload)
    assert site.bucket.read(upload.stored_key) == kept
    assert measure(kept).private_exif == ""
    assert np.array_equal(decoded(kept), decoded(LOCATED))
    assert upload.sha256 == hashlib.sha256(kept).hexdigest() != upload.sent_sha256
    assert (upload.sidecar.label, upload.patient) == ("monocyte", "p-1")
    assert not site.bucket.exists(key)
    assert site.bucket.exists(sidecar_key(key))
    note = site.ledger.history(key)[-1].changes[-1].note
    assert "without its private metadata (gps)" in note
    originals = [s.key for s in site.bucket.list("") if site.bucket.read(s.key) == LOCATED]
    assert originals == ([upload.quarantine_key] if policy == STRIP_AND_QUARANTINE else [])
    if originals:
        beside = json.loads(site.bucket.read(f"{upload.quarantine_key}.json"))
        assert (beside["reason"], upload.quarantined_at) == ("private_exif", LATER)


def test_the_strict_policy_refuses_the_upload_and_keeps_it_as_it_came(site_with: Callable[[str], Site]) -> None:
    site = site_with(QUARANTINE)
    key = site.send("located", LOCATED)
    assert site.ingest().quarantined == {"private_exif": 1}
    assert site.bucket.read(site.upload(key).quarantine_key) == LOCATED


@pytest.mark.parametrize("policy", [STRIP_AND_QUARANTINE, STRIP_AND_DROP])
def test_an_original_that_comes_again_is_a_duplicate_and_leaves_no_copy_of_its_own(
    site_with: Callable[[str], Site], policy: str
) -> None:
    site = site_with(policy)
    first = site.send("located", LOCATED)
    site.ingest()
    again = site.send("again", LOCATED)
    assert site.ingest().duplicates == 1
    assert site.upload(again).original == first
    assert not site.bucket.exists(again)
    assert [s.key for s in site.bucket.list("stripped/")] == [site.upload(first).stored_key]


@pytest.mark.parametrize("policy", [STRIP_AND_QUARANTINE, STRIP_AND_DROP])
def test_what_is_refused_for_another_reason_is_released_without_its_private_metadata(
    site_with: Callable[[str], Site], tmp_path: Path, policy: str
) -> None:
    site = site_with(policy)
    key = site.send("located", LOCATED)
    assert site.ingest(refuse="located").quarantined == {"too_dark": 1}
    assert not site.bucket.exists(key)
    held = site.bucket.read(site.upload(key).quarantine_key)
    assert (held == LOCATED) == (policy == STRIP_AND_QUARANTINE)
    assert release(site.ledger, site.bucket, key, "ana", "it is fine", 6) is State.ACCEPTED
    kept = Staging(tmp_path / "staged").read(site.bucket, site.upload(key))
    assert measure(kept).private_exif == ""


def test_an_object_that_took_the_originals_place_is_not_deleted_for_it(site_with: Callable[[str], Site]) -> None:
    site = site_with(STRIP_AND_DROP)
    key = site.send("located", LOCATED)
    dying = Dying(4)  # the ledger holds, the original is still there
    with pytest.raises(Killed):
        site.ingest(dying=dying)
    assert site.upload(key).state is State.ACCEPTED
    site.send("located", picture(2))
    assert site.ingest().accepted == 1
    assert site.bucket.read(key) == picture(2)


def test_an_original_leaves_quarantine_in_its_time_and_not_before_its_copy_has_arrived(
    site_with: Callable[[str], Site],
) -> None:
    site = site_with(STRIP_AND_QUARANTINE)
    key = site.send("located", LOCATED)
    site.ingest()
    month = timedelta(days=30)
    assert purge_originals(site.ledger, site.bucket, month, "purge", LATER + 2 * month) == 0
    with site.ledger.writing() as connection:
        connection.execute(uploads.update().values(state=State.VERSIONED))
    assert purge_originals(site.ledger, site.bucket, month, "purge", LATER + month / 2) == 0
    assert purge_originals(site.ledger, site.bucket, month, "purge", LATER + 2 * month) == 1
    assert list(site.bucket.list("quarantine/")) == []
    assert site.bucket.exists(site.upload(key).stored_key)


@pytest.mark.parametrize("kind", ["image", "patient"])
def test_what_consent_was_withdrawn_for_is_deleted_and_nothing_of_it_kept(
    site_with: Callable[[str], Site], kind: str
) -> None:
    site = site_with(STRIP_AND_QUARANTINE)
    plain = picture(1) if kind == "image" else picture(3)
    bury(site.ledger, kind, hashlib.sha256(plain if kind == "image" else b"p-1").hexdigest())
    sent = [site.send("taken", plain, patient="p-1"), site.send("located", faults.with_gps(plain), patient="p-1")]
    if kind == "image":  # the copy of which is known, not the original
        clean, _, _ = without_private(sent_bytes := faults.with_gps(plain), measure(sent_bytes), STRIP_AND_DROP)
        bury(site.ledger, kind, hashlib.sha256(clean).hexdigest())
    kept = site.send("plain", picture(4))
    assert site.ingest(refuse="taken").quarantined == {"consent_withdrawn": 2}
    assert {stored.key for stored in site.bucket.list("")} == {kept, sidecar_key(kept)}
    for key in sent:
        assert_row_is_empty(site.upload(key))


def test_consent_that_is_withdrawn_while_a_round_is_settled_leaves_nothing(site_with: Callable[[str], Site]) -> None:
    site = site_with(STRIP_AND_QUARANTINE)
    key = site.send("located", LOCATED, patient="p-1")

    class Withdrawn(DyingBucket):
        def write(self, key: str, data: bytes) -> None:
            if not list(site.bucket.list("quarantine/")):
                bury(site.ledger, "patient", hashlib.sha256(b"p-1").hexdigest())
            Bucket.write(self, key, data)

    enter_all(site.ledger, site.bucket)
    claim(site.ledger, site.bucket.url, "run", 100, 600, LATER)
    settle(site.ledger, Withdrawn(site.bucket.url, Dying(0)), site.measure(), {}, "run", 6, LATER)
    assert list(site.bucket.list("")) == []
    assert_row_is_empty(site.upload(key))


def assert_row_is_empty(upload: Any) -> None:
    assert (upload.state, upload.reason) == (State.QUARANTINED, "consent_withdrawn")
    assert (upload.sidecar, upload.patient, upload.measures, upload.quarantine_key) == (None,) * 4


def bury(ledger: Ledger, kind: str, sha256: str) -> None:
    row = {"kind": kind, "sha256": sha256, "at": LATER, "actor": "ana", "reason": "withdrawn"}
    with ledger.writing() as connection:
        if not connection.execute(tombstones.select().where(tombstones.c.sha256 == sha256)).first():
            connection.execute(insert(tombstones), row)


@pytest.mark.parametrize("policy", [STRIP_AND_QUARANTINE, STRIP_AND_DROP])
def test_killed_at_any_effect_and_run_again_it_ends_the_same(policy: str) -> None:
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        before, place = Path(folder) / "before", Path(folder) / "site"
        place.mkdir()
        site = Site(place, policy)
        bury(site.ledger, "patient", hashlib.sha256(b"p-1").hexdigest())
        site.send("located", LOCATED)
        site.send("again", LOCATED)
        site.send("taken", picture(2), patient="p-1")
        site.send("plain", faults.with_gps(picture(3)))
        shutil.copytree(place, before)
        site.ingest(refuse="plain")
        wanted, points = site.look(), 0
        assert {row[1] for row in wanted["rows"]} == {State.ACCEPTED, State.DUPLICATE, State.QUARANTINED}
        while True:
            points += 1
            shutil.rmtree(place)
            shutil.copytree(before, place)
            try:
                site.ingest(refuse="plain", dying=Dying(points))
            except Killed:
                site.ingest(refuse="plain")
                assert site.look() == wanted, points
            else:
                break
        assert points > 12
