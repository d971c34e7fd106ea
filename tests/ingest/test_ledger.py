"""The ledger: no upload leaves a final state but by a person, and no two runs hold one upload."""

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ledger_site import LATER, NOW, enter_all, everything, measured_as, small_site
from postgres_server import Postgres

from hemaloop.errors import ConfigError, DataError, HemaloopError, TransientError
from hemaloop.imaging.measure import Measures
from hemaloop.ingest.claims import claim, claimant, free_dead_claims, give_back
from hemaloop.ingest.ledger import Ledger, Step, take
from hemaloop.ingest.measuring import Measured
from hemaloop.ingest.quarantine import release
from hemaloop.ingest.records import Upload
from hemaloop.ingest.rules import Refusal
from hemaloop.ingest.sealing import mark_versioned, seal, unversioned
from hemaloop.ingest.settle import settle
from hemaloop.ingest.states import State, may_follow
from hemaloop.protocol.keys import UploadKey
from hemaloop.storage import Bucket

FINAL = {State.QUARANTINED, State.DUPLICATE, State.VERSIONED}
# The only ways out of a final state without a person.
ALLOWED = {(State.QUARANTINED, State.PURGED), (State.DUPLICATE, State.DISCOVERED)}


@given(before=st.sampled_from(State), after=st.sampled_from(State))
def test_a_final_state_is_left_only_out_of_quarantine_and_by_a_person(before: State, after: State) -> None:
    if before in FINAL:
        assert not may_follow(before, after) or (before, after) in ALLOWED
    if may_follow(before, after, by_person=True) and after not in {State.FORGOTTEN, State.PURGED}:
        assert before is State.QUARANTINED
        assert after in {State.ACCEPTED, State.DUPLICATE}


Event = tuple[Any, ...]  # what happens, and to whom
Held = tuple[Upload, ...]
EVENTS = st.one_of(
    st.tuples(st.just("discover")),
    st.tuples(st.just("claim"), st.sampled_from("ab"), st.integers(1, 4), st.booleans()),
    st.tuples(st.just("settle"), st.sampled_from("ab"), st.sets(st.integers(0, 5)), st.integers(1, 3)),
    st.tuples(st.just("give back"), st.sampled_from("ab")),
    st.tuples(st.just("seal"), st.integers(1, 3)),
    st.tuples(st.just("version")),
    st.tuples(st.just("release"), st.integers(0, 5)),
)


@settings(max_examples=30, deadline=None)
@given(events=st.lists(EVENTS, max_size=14))
def test_whatever_happens_in_whatever_order_nothing_is_lost_or_counted_twice(events: list[Event]) -> None:
    check_events(events)


@pytest.mark.slow
@settings(max_examples=6, deadline=None)
@given(events=st.lists(EVENTS, min_size=6, max_size=14))
def test_whatever_happens_on_postgresql_nothing_is_lost_or_counted_twice(
    postgres: Postgres, events: list[Event]
) -> None:
    check_events(events, postgres.new_ledger())


def check_events(events: list[Event], url: str | None = None) -> None:
    with small_site(6, url) as (ledger, bucket):
        held: dict[str, Held] = {"a": (), "b": ()}
        for event in events:
            before = everything(ledger)
            happen(ledger, bucket, held, event)
            after = everything(ledger)
            assert before.keys() <= after.keys()
            for key, state in before.items():
                left = state in FINAL and after[key] is not state
                assert not left or (event[0] == "release" and state is State.QUARANTINED), (event, key, state)
        assert sum(ledger.counts().values()) == len(everything(ledger))
        kept = [trace.upload for key in everything(ledger) for trace in ledger.history(key)]
        hashes = [upload.sha256 for upload in kept if upload.state in {State.ACCEPTED, State.VERSIONED}]
        assert len(hashes) == len(set(hashes))


def happen(ledger: Ledger, bucket: Bucket, held: dict[str, Held], event: Event) -> None:
    match event:
        case ("discover",):
            name = f"c{len(everything(ledger))}"
            bucket.write(str(UploadKey("pi-1", NOW.date(), name)), name.encode())
            enter_all(ledger, bucket)
            assert enter_all(ledger, bucket) == 0
        case ("claim", owner, limit, late):
            claimed = claim(ledger, bucket.url, owner, limit, 600, LATER + timedelta(hours=2 * late))
            held[owner] = tuple({upload.id: upload for upload in (*held[owner], *claimed)}.values())
        case ("settle", owner, refused, pictures):
            found = [measured_as(u.id, u.key, u.id % pictures) for u in held[owner]]
            settle(ledger, bucket, found, {id_: Refusal("too_dark") for id_ in refused}, owner, 6, LATER)
        case ("give back", owner):
            give_back(ledger, owner, LATER, "tired")
        case ("seal", limit):
            seal(ledger, limit, lambda images, links: f"{min(i.id for i in images):016x}", "sealer", LATER)
        case ("version",):
            for batch in unversioned(ledger):
                mark_versioned(ledger, batch, "c0ffee", "versioner", LATER)
        case ("release", number):
            for upload in ledger.quarantined()[number : number + 1]:
                release(ledger, bucket, upload.key, "ana", "it is fine", 6)


def test_runs_that_claim_at_once_never_hold_the_same_upload(ledger_url: str) -> None:
    with small_site(40, ledger_url) as (ledger, bucket):

        def work(owner: str) -> list[int]:
            mine: list[int] = []
            while claimed := claim(Ledger(ledger.url), bucket.url, owner, 3, 600, LATER):
                mine += [upload.id for upload in claimed if upload.id not in mine]
            return mine

        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(work, "abcd"))
        ids = [id_ for mine in found for id_ in mine]
        assert len(ids) == len(set(ids)) == 40


def test_a_run_whose_lease_ended_settles_nothing_that_another_took_over(ledger_url: str) -> None:
    with small_site(1, ledger_url) as (ledger, bucket):
        (slow,) = claim(ledger, bucket.url, "slow", 1, 600, LATER)
        assert claim(ledger, bucket.url, "quick", 1, 600, LATER) == ()
        assert len(claim(ledger, bucket.url, "quick", 1, 600, LATER + timedelta(seconds=601))) == 1
        settled = settle(ledger, bucket, [measured_as(slow.id, slow.key, 1)], {}, "slow", 6, LATER)
        assert settled.accepted == 0
        assert ledger.counts() == {State.CLAIMED: 1}


def test_what_a_dead_run_claimed_is_free_at_once_and_what_a_living_one_did_is_not(
    ledger_url: str, tmp_path: Path
) -> None:
    with small_site(2, ledger_url) as (ledger, bucket):
        with claimant(ledger, claims := tmp_path / "claims") as living:
            claim(ledger, bucket.url, living, 1, 600, LATER)
            (claims / "dead").touch()  # a killed process leaves its file, and the kernel drops its lock
            claim(ledger, bucket.url, "dead", 1, 600, LATER)
            assert free_dead_claims(ledger, claims, LATER) == 1
            assert ledger.counts() == {State.DISCOVERED: 1, State.CLAIMED: 1}
        assert ledger.counts() == {State.DISCOVERED: 2}


def test_an_illegal_step_changes_nothing_of_its_transaction(ledger_url: str) -> None:
    with small_site(2, ledger_url) as (ledger, _):
        with pytest.raises(HemaloopError, match="may not follow"):  # noqa: PT012, SIM117 - both in one transaction
            with ledger.writing() as connection:
                take(connection, [Step(1, State.CLAIMED)], "a", NOW)
                take(connection, [Step(2, State.VERSIONED)], "a", NOW)
        assert ledger.counts() == {State.DISCOVERED: 2}
        assert all(len(ledger.history(key)[0].changes) == 1 for key in everything(ledger))


@settings(max_examples=25, deadline=None)
@given(flips=st.lists(st.sets(st.integers(0, 63), max_size=9), min_size=1, max_size=5), bits=st.integers(0, 8))
def test_a_near_duplicate_is_found_within_the_distance_and_never_beyond(flips: list[set[int]], bits: int) -> None:
    first = 0x0F1E2D3C4B5A6978
    with small_site(images=len(flips) + 1) as (ledger, bucket):
        enter_all(ledger, bucket)
        claimed = claim(ledger, bucket.url, "a", 10, 600, LATER)
        for number, (upload, flipped) in enumerate(zip(claimed, [set[int](), *flips], strict=True)):
            phash = f"{first ^ sum(1 << bit for bit in flipped):016x}"
            settle(ledger, bucket, [measured_as(upload.id, upload.key, number, phash)], {}, "a", bits, LATER)
        for upload, flipped in zip(claimed[1:], flips, strict=True):
            found = ledger.history(upload.key)[0].upload
            if len(flipped) <= bits:
                assert found.state is State.DUPLICATE
                assert found.original is not None


def test_another_distance_finds_what_was_accepted_under_the_old_one(ledger_url: str) -> None:
    with small_site(2, ledger_url) as (ledger, bucket):
        first, second = claim(ledger, bucket.url, "a", 2, 600, LATER)
        settle(ledger, bucket, [measured_as(first.id, first.key, 1, "0" * 16)], {}, "a", 2, LATER)
        settle(ledger, bucket, [measured_as(second.id, second.key, 2, "0" * 15 + "f")], {}, "a", 6, LATER)
        assert ledger.history(second.key)[0].upload.reason == "near-duplicate at distance 4 of 64"


def test_of_two_new_duplicates_the_earlier_key_stays(ledger_url: str) -> None:
    with small_site(2, ledger_url) as (ledger, bucket):
        claimed = claim(ledger, bucket.url, "a", 2, 600, LATER)
        settle(ledger, bucket, [measured_as(u.id, u.key, 1) for u in reversed(claimed)], {}, "a", 6, LATER)
        states = everything(ledger)
        assert [states[key] for key in sorted(states)] == [State.ACCEPTED, State.DUPLICATE]
        assert ledger.history(max(states))[0].upload.reason == "the same bytes"


def test_a_link_goes_with_its_original_or_once_that_is_in_a_revision_alone_if_need_be(ledger_url: str) -> None:
    with small_site(4, ledger_url) as (ledger, bucket):
        a, b, c, d = claim(ledger, bucket.url, "a", 4, 600, LATER)
        names = iter(("first", "second", "third", "fourth"))

        def sealed() -> tuple[str, list[str], list[str]] | None:
            if seal(ledger, 9, lambda *_: next(names), "s", LATER) is None:
                return None
            *_, last = unversioned(ledger)
            return last.id, [image.key for image in last.images], [link.key for link in last.links]

        settle(ledger, bucket, [measured_as(a.id, a.key, 1), measured_as(b.id, b.key, 1)], {}, "a", 6, LATER)
        assert sealed() == ("first", [a.key], [b.key])
        settle(ledger, bucket, [measured_as(c.id, c.key, 1)], {}, "a", 6, LATER)
        assert sealed() is None  # its original is in no revision: the batches could not be versioned in any order
        (first,) = unversioned(ledger)
        mark_versioned(ledger, first, "c0ffee", "v", LATER)
        assert sealed() == ("second", [], [c.key])
        settle(ledger, bucket, [measured_as(d.id, d.key, 4)], {}, "a", 6, LATER)
        assert sealed() == ("third", [d.key], [])
        assert sealed() is None


def test_what_holds_no_image_cannot_be_released(ledger_url: str) -> None:
    with small_site(1, ledger_url) as (ledger, bucket):
        (upload,) = claim(ledger, bucket.url, "a", 1, 600, LATER)
        found = Measured(upload.id, upload.key, 0, measures=Measures(0, "", "", "empty", 0, 0, 0))
        settle(ledger, bucket, [found], {upload.id: Refusal("empty")}, "a", 6, LATER)
        with pytest.raises(DataError, match="no image"):
            release(ledger, bucket, upload.key, "ana", "please", 6)
        with pytest.raises(DataError, match="no such upload"):
            release(ledger, bucket, "uploads/none.jpg", "ana", "please", 6)


def test_a_released_upload_goes_into_the_next_batch_and_its_history_says_who_let_it_in(ledger_url: str) -> None:
    with small_site(1, ledger_url) as (ledger, bucket):
        (upload,) = claim(ledger, bucket.url, "a", 1, 600, LATER)
        found = measured_as(upload.id, upload.key, 1)
        settle(ledger, bucket, [found], {upload.id: Refusal("too_dark", "brightness 9")}, "a", 6, LATER)
        assert release(ledger, bucket, upload.key, "ana", "rare cell", 6) is State.ACCEPTED
        assert seal(ledger, 9, lambda *_: "first", "s", LATER) == "first"
        last = [change for change in ledger.history(upload.key)[0].changes if change.actor == "ana"]
        assert [change.note for change in last] == ["released from quarantine (too_dark): rare cell"]
        beside = json.loads(bucket.read("quarantine/pi-1/2026/11/20/c0.jpg.json"))
        assert (beside["reason"], beside["released"]["by"]) == ("too_dark", "ana")
        with pytest.raises(DataError, match="not in quarantine"):
            release(ledger, bucket, upload.key, "ana", "once more", 6)


def test_a_replaced_object_keeps_both_histories_and_both_quarantined_copies(ledger_url: str) -> None:
    with small_site(0, ledger_url) as (ledger, bucket):
        for content in (b"one", b"two!"):
            bucket.write("uploads/pi-1/2026/11/20/c0.jpg", content)
            enter_all(ledger, bucket)
            (upload,) = claim(ledger, bucket.url, "a", 1, 600, LATER)
            measures = Measures(len(content), hashlib.sha256(content).hexdigest(), "jpeg", "", 200, 200, 3)
            found = [Measured(upload.id, upload.key, len(content), measures=measures)]
            settle(ledger, bucket, found, {upload.id: Refusal("too_dark")}, "a", 6, LATER)
        assert len(ledger.history("uploads/pi-1/2026/11/20/c0.jpg")) == 2
        copies = [stored.key for stored in bucket.list("quarantine/") if not stored.key.endswith(".json")]
        assert sorted(bucket.read(key) for key in copies) == [b"one", b"two!"]


@pytest.mark.parametrize("url", ["nonsense", "oracle+none://x/y", "sqlite://"])
def test_a_wrong_ledger_address_says_what_to_set(url: str) -> None:
    with pytest.raises(ConfigError, match="ledger"):
        Ledger(url)


def test_a_ledger_that_cannot_be_opened_may_be_tried_again(tmp_path: Path) -> None:
    (tmp_path / "ledger.db").mkdir()
    with pytest.raises(TransientError, match="ledger"):
        Ledger(f"sqlite:///{tmp_path}/ledger.db")
