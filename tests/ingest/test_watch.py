"""What polls and reconciliations do with late, early, replaced, deleted and lonely objects, on S3 and on a folder."""

import hashlib
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from ingest_site import PARAMS
from pictures import picture
from sqlalchemy import insert

from hemaloop.config import read_classes, read_section
from hemaloop.errors import TransientError
from hemaloop.ingest.claims import claim
from hemaloop.ingest.consent import PATIENT
from hemaloop.ingest.entering import Finder
from hemaloop.ingest.ledger import Ledger, Step, take
from hemaloop.ingest.measuring import Chunk, Measured, measure_chunk
from hemaloop.ingest.parameters import IngestParams
from hemaloop.ingest.reconciling import Reconciliation, last_reconciliation, reconcile
from hemaloop.ingest.records import Trace, Upload
from hemaloop.ingest.rules import CONSENT_WITHDRAWN, MISPLACED, VANISHED, Refusal
from hemaloop.ingest.schema import tombstones
from hemaloop.ingest.sealing import mark_versioned, seal, unversioned
from hemaloop.ingest.settle import settle
from hemaloop.ingest.states import State
from hemaloop.ingest.watch import discover
from hemaloop.protocol.documents import encode
from hemaloop.protocol.keys import UploadKey, sidecar_key
from hemaloop.protocol.sidecar import Sidecar
from hemaloop.storage import Bucket, StoredObject

pytestmark = pytest.mark.slow

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


@pytest.fixture
def site(any_bucket: Bucket, tmp_path: Path, request: pytest.FixtureRequest) -> Site:
    """Once on S3 with PostgreSQL, once on a folder with SQLite."""
    on_s3 = any_bucket.url.startswith("s3://")
    return Site(any_bucket, tmp_path, request.getfixturevalue("postgres").new_ledger() if on_s3 else "")


@pytest.fixture
def folder_site(tmp_path: Path) -> Site:
    """On a folder, where a test can say when an object was modified."""
    bucket = Bucket(f"file://{tmp_path}/bucket")
    bucket.create()
    return Site(bucket, tmp_path)


def path_of(site: Site, key: str) -> Path:
    return Path(site.bucket.url.removeprefix("file://")) / key


def test_a_poll_finds_what_came_late_to_a_recent_day_and_leaves_old_days_to_the_reconciliation(site: Site) -> None:
    assert site.poll() == 0
    window = site.params.window_days
    recent = [site.put(f"d{day}", day=TODAY - timedelta(days=day)) for day in (-1, 0, window)]
    for day in (TODAY - timedelta(days=window + 2), LONG_AGO, LONG_AFTER):
        site.put("c", day=day)
    assert site.poll() == len(recent)
    assert site.poll() == 0
    found = site.reconcile()
    assert (found.objects, found.entered, found.missed, found.lists) == (6, 3, 3, 1)
    assert last_reconciliation(site.ledger, site.bucket.url) == found
    assert site.poll() == 0


def test_the_first_poll_of_a_bucket_takes_in_all_that_it_held_before(site: Site) -> None:
    old = site.put("c", day=LONG_AGO)
    assert discover(site.ledger, site.bucket, site.params, CLASSES, datetime.now(UTC), "poll") == 1
    assert site.states(old) == [(State.DISCOVERED, "")]


def test_a_notification_of_a_device_with_a_wrong_clock_is_enough(site: Site) -> None:
    site.poll()
    keys = [site.put("c", day=day) for day in (LONG_AGO, LONG_AFTER)]
    misplaced = "uploads/notes.jpg"
    site.bucket.write(misplaced, b"a note")
    lost = [str(UploadKey("pi-7", LONG_AGO, "gone")), "uploads/", "releases/x.jpg", "\x00"]
    assert site.poll([*keys, *keys, misplaced, *lost]) == 3
    assert site.poll([*keys, misplaced]) == 0


def test_neither_an_older_time_nor_the_same_second_hides_an_upload(folder_site: Site) -> None:
    site = folder_site
    second = datetime.now(UTC).timestamp() // 1
    for capture, modified in (("b", second), ("a", second), ("c", second), ("late", second - 9000)):
        path = path_of(site, site.put(capture))
        os.utime(path, (modified, modified))
        assert site.poll() == 1 or capture == "b"  # the first one is found by the first look
    assert site.ledger.counts() == {State.DISCOVERED: 4}


def test_an_image_without_a_sidecar_waits_until_it_is_settled_and_with_one_it_does_not(folder_site: Site) -> None:
    site = folder_site
    site.poll()
    alone, whole = site.put("alone"), site.put("whole")
    site.put_sidecar(whole, b"an image")
    waiting = replace(site.params, settle_seconds=60)
    assert site.poll(params=waiting) == 1
    assert site.states(whole) == [(State.DISCOVERED, "")]
    earlier = datetime.now(UTC).timestamp() - 61
    os.utime(path_of(site, alone), (earlier, earlier))
    assert site.poll(params=waiting) == 1


def test_an_overwritten_object_is_a_second_upload_also_while_the_first_is_worked_on(site: Site) -> None:
    key = site.put("c", picture(1))
    site.poll()
    claimed = site.claim()
    site.put("c", picture(2))
    assert site.poll() == 1
    site.settle(site.measure(claimed))  # what is there now is not what was listed
    site.ingest()
    assert site.states(key) == [(State.QUARANTINED, VANISHED), (State.ACCEPTED, "")]
    site.put("c", picture(3))
    site.poll()
    site.ingest()
    assert [state for state, _ in site.states(key)] == [State.QUARANTINED, State.ACCEPTED, State.ACCEPTED]


def test_what_is_deleted_before_it_is_read_is_told_and_taken_when_it_comes_again(site: Site) -> None:
    key = site.put("c", picture(1))
    site.poll()
    site.bucket.delete(key)
    site.ingest()
    assert site.states(key) == [(State.QUARANTINED, VANISHED)]
    assert site.poll() == 0
    site.put("c", picture(1))  # on S3 with the very same ETag
    assert site.poll() == 1
    assert site.poll() == 0
    site.ingest()
    assert site.states(key) == [(State.QUARANTINED, VANISHED), (State.ACCEPTED, "")]


def test_what_is_deleted_once_it_is_versioned_changes_nothing(site: Site) -> None:
    key = site.put("c", picture(1))
    site.poll()
    site.ingest()
    version(site)
    site.bucket.delete(key)
    before = site.ledger.history(key)
    site.poll()
    site.reconcile()
    assert site.ledger.history(key) == before


def test_a_key_in_the_wrong_place_goes_to_quarantine(site: Site) -> None:
    site.poll()
    keys = ["uploads/notes.txt", "uploads/pi-1/2026/13/01/a.jpg", "uploads/pi-1/2026/11/20/deep/a.jpg"]
    for key in keys:
        site.bucket.write(key, b"a note")
    assert site.reconcile().missed == len(keys)
    site.ingest()
    assert [site.states(key) for key in keys] == [[(State.QUARANTINED, MISPLACED)]] * len(keys)


def version(site: Site) -> None:
    now = datetime.now(UTC)
    seal(site.ledger, 9, lambda images, links: f"{images[0].id:016x}", "run", now)
    for batch in unversioned(site.ledger):
        mark_versioned(site.ledger, batch, "c0ffee", "run", now)


def test_a_late_sidecar_is_taken_in_until_the_batch_is_sealed_and_told_once_after(site: Site) -> None:
    early, sealed = site.put("early", picture(1)), site.put("sealed", picture(2))
    site.poll()
    site.ingest()
    site.put_sidecar(early, picture(1), label="monocyte", labelled_by="ana", slide="s-1", patient="p-1")
    assert site.poll() == 0
    said = site.trace(early).upload
    assert said.sidecar is not None
    assert (said.sidecar.label, said.sidecar.slide, said.patient) == ("monocyte", "s-1", "p-1")
    version(site)
    before = site.trace(sealed).upload
    site.put_sidecar(sealed, picture(2), label="monocyte", labelled_by="ana", patient="p-2")
    for _ in range(2):
        site.poll()
        site.reconcile()
    after = site.trace(sealed)
    assert after.upload == replace(before, patient="p-2")  # what is sealed stays; `forget` must still find the person
    told = [change.note for trace in (site.trace(early), after) for change in trace.changes]
    assert [note for note in told if note.startswith("a sidecar")] == [
        "a sidecar came late and was taken in: label monocyte",
        f"a sidecar came too late (label monocyte): batch {before.batch} was sealed without it",
    ]


def test_a_late_sidecar_that_cannot_be_right_is_told_and_not_taken_in(site: Site) -> None:
    keys = [site.put(name, picture(seed)) for seed, name in enumerate(("broken", "other-image", "other-pi", "unknown"))]
    site.poll()
    site.ingest()
    broken, image, device, unknown = keys
    site.bucket.write(sidecar_key(broken), b"{")
    site.put_sidecar(image, picture(9))
    site.put_sidecar(device, picture(2), device="pi-2")
    site.put_sidecar(unknown, picture(3), label="werewolf", slide="s-1")
    site.poll()
    said = [site.trace(key) for key in keys]
    assert [trace.upload.sidecar for trace in said[:3]] == [None] * 3
    assert said[3].upload.sidecar is not None
    assert (said[3].upload.sidecar.label, said[3].upload.sidecar.slide) == (None, "s-1")
    for trace, word in zip(said, ("cannot be read", "SHA-256", "pi-2", "werewolf"), strict=True):
        assert word in trace.changes[-1].note


def test_a_sidecar_that_is_replaced_is_taken_in_like_a_late_one(site: Site) -> None:
    key = site.put("c", picture(1))
    site.put_sidecar(key, picture(1), label="monocyte", labelled_by="ana")
    site.poll()
    site.ingest()
    site.put_sidecar(key, picture(1), label="neutrophil", labelled_by="ana")
    site.poll()
    upload = site.trace(key).upload
    assert upload.sidecar is not None
    assert upload.sidecar.label == "neutrophil"


def test_a_sidecar_that_comes_between_finding_and_reading_leaves_no_trace_of_its_own(site: Site) -> None:
    key = site.put("c", picture(1))
    site.poll()
    site.put_sidecar(key, picture(1), label="monocyte", labelled_by="ana")
    site.poll()
    site.ingest()
    before = site.trace(key)
    site.poll()
    assert site.trace(key) == before
    assert before.upload.sidecar is not None


def test_of_what_was_forgotten_nothing_comes_back(site: Site) -> None:
    key = site.put("c", picture(1))
    site.poll()
    site.ingest()
    with site.ledger.writing() as connection:
        take(connection, [Step(site.trace(key).upload.id, State.FORGOTTEN)], "ana", datetime.now(UTC), by_person=True)
    before = site.trace(key)
    site.put_sidecar(key, picture(1), patient="p-1")
    site.poll()
    site.reconcile()
    assert site.trace(key) == before


def test_a_late_sidecar_of_a_patient_who_withdrew_consent_takes_its_image_out(site: Site) -> None:
    key, sealed = site.put("c", picture(1)), site.put("sealed", picture(2))
    site.poll()
    site.ingest()
    with site.ledger.writing() as connection:
        sha256 = hashlib.sha256(b"p-1").hexdigest()
        row = {"kind": PATIENT, "sha256": sha256, "at": datetime.now(UTC), "actor": "ana", "reason": "asked to"}
        connection.execute(insert(tombstones), [row])
    site.put_sidecar(key, picture(1), patient="p-1")
    site.poll()
    assert site.states(key) == [(State.QUARANTINED, CONSENT_WITHDRAWN)]
    assert site.trace(key).upload.patient is None
    assert not site.bucket.exists(key)
    assert not site.bucket.exists(sidecar_key(key))
    version(site)
    site.put_sidecar(sealed, picture(2), patient="p-1")
    site.poll()
    assert site.trace(sealed).upload.patient == "p-1"  # `hemaloop forget` finds it
    assert "hemaloop forget" in site.trace(sealed).changes[-1].note


def test_a_sidecar_that_outlives_its_image_is_not_alone_and_told_if_it_is_new(site: Site) -> None:
    known, late = site.put("known", picture(1)), site.put("late", picture(2))
    site.put_sidecar(known, picture(1))
    site.poll()
    site.ingest()
    before = site.trace(known)
    site.bucket.delete(known)
    site.bucket.delete(late)
    site.put_sidecar(late, picture(2), label="monocyte", labelled_by="ana")
    assert site.reconcile().lone_sidecars == 0
    assert site.trace(known) == before
    assert "taken in: label monocyte" in site.trace(late).changes[-1].note


def test_sidecars_whose_image_never_comes_are_counted(site: Site) -> None:
    for capture in ("a", "b"):
        site.put_sidecar(str(UploadKey("pi-1", TODAY, capture)), b"never came")
    site.put("c")
    waiting = replace(site.params, settle_seconds=60)
    assert site.reconcile(params=waiting).lone_sidecars == 0  # their images may have come since their page was listed
    found = site.reconcile()
    assert (found.entered, found.lone_sidecars) == (1, 2)


class CutBucket(Bucket):
    """A bucket whose store goes away after some pages of a listing."""

    pages_left = 2

    def pages(self, prefix: str, start_after: str = "") -> Iterator[Sequence[StoredObject]]:
        for page in super().pages(prefix, start_after):
            if self.pages_left == 0:
                raise TransientError("the store went away")
            self.pages_left -= 1
            yield page


def test_a_reconciliation_cut_short_is_done_again_as_a_whole_and_enters_nothing_twice(folder_site: Site) -> None:
    site = folder_site
    folder = path_of(site, site.put("a", day=LONG_AGO)).parent
    for number in range(2500):
        (folder / f"b{number}.jpg").write_bytes(b"x")
    with pytest.raises(TransientError, match="went away"):
        site.reconcile(CutBucket(site.bucket.url))
    assert last_reconciliation(site.ledger, site.bucket.url) is None
    entered = site.ledger.counts()[State.DISCOVERED]
    found = site.reconcile()
    assert (entered, found.entered, found.lists, found.objects) == (1000, 1501, 3, 2501)
    site.bucket = cut = CutBucket(site.bucket.url)
    cut.pages_left = 1 + site.params.window_days + 2
    assert site.poll(["uploads/"]) == 0  # a hint that names everything is no way to have everything listed


def test_polls_and_reconciliations_at_once_enter_each_upload_once(site: Site) -> None:
    site.poll()
    for number in range(20):
        site.put(f"c{number}")
    with ThreadPoolExecutor(4) as pool:
        polls = [pool.submit(site.poll) for _ in range(3)]
        whole = pool.submit(site.reconcile)
        assert sum(poll.result() for poll in polls) + whole.result().entered == 20
    assert site.ledger.counts() == {State.DISCOVERED: 20}
