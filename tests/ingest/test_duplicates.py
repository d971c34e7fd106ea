"""Duplicates: the index answers what a scan of everything would, and a round what one after the other would."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, insert, select
from sqlalchemy import update as sql_update

from hemaloop.imaging.fingerprint import distance
from hemaloop.imaging.measure import Measures
from hemaloop.ingest.admission import admit, admit_all
from hemaloop.ingest.database import begin_writing
from hemaloop.ingest.duplicates import CONFIRMED_BITS, Picture, find_originals, remember
from hemaloop.ingest.ledger import Ledger
from hemaloop.ingest.measuring import Measured
from hemaloop.ingest.schema import uploads
from hemaloop.ingest.states import State
from hemaloop.protocol.documents import encode

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
SAME, APART = "0" * 48, "f" * 48  # finer hashes

# About few centres with few bits flipped, so that most pairs lie about the limit; few contents; two finer hashes.
centres = st.sampled_from((0x0F1E2D3C4B5A6978, 0xFFFF0000FFFF0000))
drawn = st.lists(
    st.tuples(centres, st.sets(st.integers(0, 63), max_size=9), st.integers(0, 9), st.sampled_from((SAME, APART))),
    max_size=9,
)
Drawn = list[tuple[int, set[int], int, str]]


def pictures_of(drawn: Drawn, first: int) -> list[Picture]:
    return [
        Picture(id_, f"{content or id_:064x}", f"{centre ^ sum(1 << bit for bit in flips):016x}", fine)
        for id_, (centre, flips, content, fine) in enumerate(drawn, first)
    ]


def measured(picture: Picture) -> Measured:
    known = Measures(10, picture.sha256, "jpeg", "", 200, 200, 3)
    values = {**vars(known), "phash": picture.phash, "phash_fine": picture.phash_fine}
    return Measured(picture.upload, f"uploads/{picture.upload:06d}.jpg", 10, measures=Measures(**values))


def enter(connection: Connection, pictures: Sequence[Picture], state: State) -> None:
    """As ingest leaves them in that state."""
    rows = [
        {"id": p.upload, "bucket": "b", "key": f"uploads/{p.upload:06d}.jpg", "etag": "e", "size": 1, "modified": NOW}
        | {"state": state, "sha256": p.sha256, "phash": p.phash, "measures": encode(measured(p).measures).decode()}
        for p in pictures
    ]
    if rows:
        connection.execute(insert(uploads), rows)
    if state in {State.ACCEPTED, State.VERSIONED}:
        remember(connection, pictures)


def scan(picture: Picture, kept: Sequence[Picture], bits: int) -> int | None:
    """The original, by looking at everything that is kept."""
    same = [other.upload for other in kept if other.sha256 == picture.sha256]
    near = [
        (apart, other.upload)
        for other in kept
        if (apart := distance(picture.phash, other.phash)) <= bits
        and distance(picture.phash_fine, other.phash_fine) <= CONFIRMED_BITS
    ]
    return min(same) if same else min(near)[1] if near else None


def kept_of(pictures: Sequence[Picture], before: Sequence[Picture], bits: int) -> tuple[list[Picture], dict[int, int]]:
    """What is kept of all, and the originals of the others: one after the other, by scanning."""
    kept, originals = list(before), {}
    for picture in pictures:
        original = scan(picture, kept, bits)
        if original is None:
            kept.append(picture)
        else:
            originals[picture.upload] = original
    return kept, originals


@contextmanager
def undone(ledger: Ledger) -> Iterator[Connection]:
    """A transaction that leaves nothing."""
    with ledger.reading() as connection:
        begin_writing(connection)
        yield connection
        connection.rollback()


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def ledger(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Ledger:
    if request.param == "postgresql":
        return Ledger(request.getfixturevalue("postgres").new_ledger())
    return Ledger(f"sqlite:///{tmp_path_factory.mktemp('ledger')}/ledger.db")


@settings(max_examples=60, deadline=None)
@given(old=drawn, new=drawn, bits=st.integers(0, 8))
def test_a_round_finds_the_originals_that_scanning_everything_one_by_one_finds(
    ledger: Ledger, old: Drawn, new: Drawn, bits: int
) -> None:
    history, _ = kept_of(pictures_of(old, 100), [], bits)
    _, wanted = kept_of(pictures_of(new, 1000), history, bits)
    with undone(ledger) as connection:
        enter(connection, history, State.VERSIONED)
        found = find_originals(connection, pictures_of(new, 1000), bits)
        assert {upload: original.upload for upload, original in found.items()} == wanted


@settings(max_examples=15, deadline=None)
@given(new=drawn)
def test_a_round_settled_at_once_leaves_the_ledger_as_one_settled_one_by_one(ledger: Ledger, new: Drawn) -> None:
    pictures = pictures_of(new, 1)
    columns = select(uploads.c.id, uploads.c.state, uploads.c.reason, uploads.c.original, uploads.c.phash)

    def left(at_once: bool) -> list[tuple[object, ...]]:
        with undone(ledger) as connection:
            enter(connection, pictures, State.CLAIMED)
            for part in [pictures] if at_once else [[picture] for picture in pictures]:
                admit_all(connection, [measured(picture) for picture in part], 6, "a", NOW)
            return [tuple(row) for row in connection.execute(columns.order_by(uploads.c.id))]

    assert left(at_once=True) == left(at_once=False)


def test_a_near_hash_that_the_finer_one_contradicts_is_no_duplicate(ledger: Ledger) -> None:
    first, alike, unlike, older = (
        Picture(1, "a", "0" * 16, SAME), Picture(2, "b", "0" * 15 + "f", SAME), Picture(3, "c", "0" * 16, APART),
        Picture(4, "d", "0" * 16, ""),
    )  # fmt: skip
    with undone(ledger) as connection:
        enter(connection, [first], State.VERSIONED)
        found = find_originals(connection, [alike, unlike, older], 6)
    assert {upload: original.upload for upload, original in found.items()} == {2: 1, 4: 1}


def test_of_several_with_the_same_bytes_the_oldest_is_the_original(ledger: Ledger) -> None:
    with undone(ledger) as connection:
        enter(connection, [Picture(id_, "a", f"{id_:x}" * 16, SAME) for id_ in (1, 2)], State.VERSIONED)
        found = find_originals(connection, [Picture(3, "a", "f" * 16, SAME)], 6)
    assert found[3].upload == 1


@pytest.mark.parametrize("state", [State.QUARANTINED, State.FORGOTTEN])
def test_what_vanished_after_it_was_accepted_makes_no_later_upload_a_duplicate(ledger: Ledger, state: State) -> None:
    first, again = Picture(1, "a", "0" * 16, SAME), Picture(2, "b", "0" * 16, SAME)
    with undone(ledger) as connection:
        enter(connection, [first], State.ACCEPTED)
        enter(connection, [again], State.CLAIMED)
        connection.execute(sql_update(uploads).where(uploads.c.id == 1).values(state=state))
        assert admit(connection, measured(again), 6, "a", NOW) is State.ACCEPTED


def test_what_vanished_and_is_released_again_is_not_its_own_duplicate(ledger: Ledger) -> None:
    only = Picture(1, "a", "0" * 16, SAME)
    with undone(ledger) as connection:
        enter(connection, [only], State.ACCEPTED)
        connection.execute(sql_update(uploads).values(state=State.QUARANTINED))
        assert admit(connection, measured(only), 6, "ana", NOW, by_person=True) is State.ACCEPTED
