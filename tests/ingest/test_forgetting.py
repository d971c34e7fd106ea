"""Whose uploads are forgotten, and that the ledger lets none of them slip away meanwhile; on SQLite and PostgreSQL."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest
from ledger_site import NOW, enter_all, measured_as, small_site

from hemaloop.errors import TransientError
from hemaloop.ingest.claims import claim
from hemaloop.ingest.forgetting import Moved, Whose, bury, clear, find, withhold
from hemaloop.ingest.forgotten_objects import remove_objects
from hemaloop.ingest.ledger import Ledger
from hemaloop.ingest.measuring import Measured
from hemaloop.ingest.records import Upload
from hemaloop.ingest.rules import Refusal
from hemaloop.ingest.sealing import claim_batch, mark_versioned, seal, unversioned
from hemaloop.ingest.settle import settle
from hemaloop.ingest.states import State
from hemaloop.protocol.sidecar import Sidecar
from hemaloop.storage import Bucket

P = Whose("p")


@dataclass(frozen=True)
class Small:
    ledger: Ledger
    bucket: Bucket

    def settle(self, *said: tuple[int, str | None, str | None], refused: int = -1) -> list[Upload]:
        """Settle uploads c0, c1 ...: of each the picture that it shows, its patient and its slide."""
        claimed = claim(self.ledger, self.bucket.url, "run", len(said), 60, NOW)
        measured = [self._measured(one, *about) for one, about in zip(claimed, said, strict=True)]
        refusals = {claimed[refused].id: Refusal("too_dark")} if refused >= 0 else {}
        settle(self.ledger, self.bucket, measured, refusals, "run", 3, NOW)
        return [self.ledger.history(one.key)[-1].upload for one in claimed]

    def _measured(self, upload: Upload, picture: int, patient: str | None, slide: str | None) -> Measured:
        found = measured_as(upload.id, upload.key, picture)
        assert found.measures
        sidecar = Sidecar(found.measures.sha256, "pi-1", NOW + timedelta(hours=upload.id), slide, patient)
        return replace(found, sidecar=sidecar)

    def seal(self) -> str | None:
        return seal(self.ledger, 100, lambda images, links: f"b{images[0].id}-{len(images)}", "run", NOW)

    def names(self, found: tuple[Upload, ...]) -> str:
        return " ".join(upload.key.rsplit("/", 1)[1].removesuffix(".jpg") for upload in found)

    def state(self, number: int) -> State:
        return self.ledger.history(f"uploads/pi-1/2026/11/20/c{number}.jpg")[-1].upload.state


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def small(request: pytest.FixtureRequest) -> Iterator[Small]:
    url = request.getfixturevalue("postgres").new_ledger() if request.param == "postgresql" else None
    with small_site(8, url) as (ledger, bucket):
        yield Small(ledger, bucket)


def test_a_patients_are_all_that_can_be_told_and_the_doubtful_are_told(small: Small) -> None:
    small.settle(
        (0, "p", "s1"),  # c0
        (1, None, "s1"),  # c1 lies on the patient's slide
        (0, "q", None),  # c2 has the bytes of c0, whatever it says
        (1, None, None),  # c3 shows what c1 shows
        (2, "q", "s2"),  # c4 is somebody else's
        (2, "p", "s2"),  # c5 shows what c4 shows: one of the two says something wrong
        (3, None, "s2"),  # c6 lies on a slide of two
        (4, "p_", "s3"),  # c7: not a pattern of SQL
    )
    found = find(small.ledger, P)
    assert small.names(found.uploads) == "c0 c1 c2 c3 c4 c5"  # the same bytes as c5
    assert [key[-6:] for key in found.doubtful] == ["c6.jpg"]
    assert small.names(find(small.ledger, Whose("p_")).uploads) == "c7"
    assert small.names(find(small.ledger, Whose(keys=(found.uploads[1].key,))).uploads) == "c1 c3"
    assert find(small.ledger, Whose("%")).uploads == ()


def test_what_is_withheld_is_sealed_no_more_and_the_others_are(small: Small) -> None:
    small.settle(*((n, "p" if n < 2 else "q", None) for n in range(8)))
    assert small.seal()
    ids = [upload.id for upload in find(small.ledger, P).uploads]
    held = claim_batch(small.ledger, "run", 60, NOW)
    with pytest.raises(TransientError, match="is being versioned"):
        withhold(small.ledger, ids, "ana", NOW)
    assert held is not None
    withhold(small.ledger, ids, "ana", NOW + timedelta(seconds=61))
    assert small.state(0) is State.QUARANTINED
    assert small.seal()
    (batch,) = unversioned(small.ledger)
    assert small.names(batch.images) == "c2 c3 c4 c5 c6 c7"
    assert [upload.id for upload in find(small.ledger, P).uploads] == ids


def test_clearing_leaves_nothing_but_that_it_was_there_and_moves_the_others(small: Small) -> None:
    small.settle(*((n, "p" if n < 2 else "q", None) for n in range(7)), (0, "q", None), refused=1)
    old = small.seal()
    assert old is not None
    (batch,) = unversioned(small.ledger)
    before = find(small.ledger, P).uploads
    mark_versioned(small.ledger, batch, "r1", "run", NOW)
    moved = [Moved(old, "new", "r2", 5)]
    with pytest.raises(TransientError, match="run it again"):
        clear(small.ledger, before, moved, "ana", NOW)
    found = find(small.ledger, P).uploads
    assert small.names(found) == "c0 c1 c7"
    for _ in range(2):
        clear(small.ledger, find(small.ledger, P).uploads, moved, "ana", NOW)
    gone = [trace for one in found for trace in small.ledger.history(f"forgotten/{one.id}")]
    for trace in gone:
        upload = trace.upload
        assert (upload.state, upload.sha256, upload.sidecar, upload.measures) == (State.FORGOTTEN, None, None, None)
        assert (upload.patient, upload.reason, upload.quarantine_key, upload.batch, upload.original) == (
            None, "", None, None, None,
        )  # fmt: skip
        assert [change.note for change in trace.changes if change.note] == ["forgotten: consent was withdrawn"]
    assert len(gone) == 3
    other = small.ledger.history("uploads/pi-1/2026/11/20/c2.jpg")[0].upload
    assert (other.batch, other.revision, other.state) == ("new", "r2", State.VERSIONED)


def test_what_somebody_else_put_under_the_same_key_stays(small: Small) -> None:
    small.settle((0, "p", None), *((n, "q", None) for n in range(1, 8)))
    key = "uploads/pi-1/2026/11/20/c0.jpg"
    found = find(small.ledger, P).uploads
    small.bucket.write(key, b"another image")

    assert enter_all(small.ledger, small.bucket) == 1
    assert remove_objects(small.ledger, small.bucket, P, found, "ana", "why", NOW) == {}
    assert small.bucket.read(key) == b"another image"
    bury(small.ledger, P, ["0" * 64], "ana", "why", NOW)
    bury(small.ledger, P, ["0" * 64], "ana", "why", NOW)
