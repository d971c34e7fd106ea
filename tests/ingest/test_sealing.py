"""Batches: each is versioned by one run at a time, and one whose images vanished is opened again."""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from time import sleep

import pytest
from ledger_site import LATER, everything, measured_as, small_site
from sqlalchemy import select

from hemaloop.errors import HemaloopError
from hemaloop.ingest.claims import claim, claimant, free_dead_claims, give_back, heartbeat, renew
from hemaloop.ingest.ledger import Ledger
from hemaloop.ingest.records import Upload
from hemaloop.ingest.schema import fingerprints
from hemaloop.ingest.sealing import claim_batch, dissolve, mark_versioned, seal, unversioned
from hemaloop.ingest.settle import settle
from hemaloop.ingest.states import State
from hemaloop.storage import Bucket

LEASE = 600
EXPIRED = LATER + timedelta(seconds=LEASE + 1)


def content_name(images: Sequence[Upload], links: Sequence[Upload]) -> str:
    """As the dataset names batches: the same content, the same name."""
    of_links = (f"link-{link.original_sha256}" for link in links)
    return " ".join([*(str(image.sha256) for image in images), *of_links])


def settle_all(ledger: Ledger, bucket: Bucket, pictures: Sequence[int]) -> list[Upload]:
    """Claim what is free and settle it: the n-th, in order of keys, shows `pictures[n]`."""
    claimed = claim(ledger, bucket.url, "a", len(pictures), LEASE, LATER)
    found = [measured_as(u.id, u.key, picture) for u, picture in zip(claimed, pictures, strict=True)]
    settle(ledger, bucket, found, {}, "a", 6, LATER)
    return list(claimed)


def seal_all(ledger: Ledger, limit: int = 9) -> list[str]:
    made = []
    while id_ := seal(ledger, limit, content_name, "s", LATER):
        made.append(id_)
    return made


def test_a_batch_is_held_by_one_run_until_its_lease_ends_or_it_is_given_back(ledger_url: str, tmp_path: Path) -> None:
    with small_site(2, ledger_url) as (ledger, bucket):
        settle_all(ledger, bucket, [1, 2])
        seal_all(ledger, limit=1)
        first, second = claim_batch(ledger, "a", LEASE, LATER), claim_batch(ledger, "b", LEASE, LATER)
        assert first is not None
        assert second is not None
        assert first.id != second.id
        assert claim_batch(ledger, "c", LEASE, LATER) is None
        assert renew(ledger, "b", 2 * LEASE, LATER) == 1
        taken_over = claim_batch(ledger, "c", LEASE, EXPIRED)
        assert taken_over == first
        assert claim_batch(ledger, "c", LEASE, EXPIRED) is None
        assert give_back(ledger, "b", LATER, "tired") == 1
        assert claim_batch(ledger, "c", LEASE, LATER) == second
        (claims := tmp_path / "claims").mkdir()
        (claims / "c").touch()  # it was killed
        assert free_dead_claims(ledger, claims, LATER) == 2
        assert claim_batch(ledger, "d", LEASE, LATER) == first


def test_a_batch_is_marked_once_whoever_versioned_it(ledger_url: str) -> None:
    with small_site(2, ledger_url) as (ledger, bucket):
        image, link = settle_all(ledger, bucket, [1, 1])
        seal_all(ledger)
        (batch,) = unversioned(ledger)
        mark_versioned(ledger, batch, "c0ffee", "a", LATER)
        mark_versioned(ledger, batch, "c0ffee", "b", LATER)
        assert list(unversioned(ledger)) == []
        assert [change.note for change in ledger.history(image.key)[0].changes[-2:]] == [
            f"sealed in batch {batch.id}",
            "in revision c0ffee",
        ]
        assert [change.note for change in ledger.history(link.key)[0].changes[-2:]] == [
            f"sealed in batch {batch.id}",
            "its link is in revision c0ffee",
        ]
        assert ledger.counts() == {State.VERSIONED: 1, State.DUPLICATE: 1}


def test_vanished_images_go_to_quarantine_and_the_rest_into_a_new_batch(ledger_url: str) -> None:
    with small_site(4, ledger_url) as (ledger, bucket):
        gone, kept, copy_of_gone, copy_of_kept = settle_all(ledger, bucket, [1, 2, 1, 2])
        seal_all(ledger)
        batch = claim_batch(ledger, "v", LEASE, LATER)
        assert batch is not None
        assert dissolve(ledger, batch.id, [gone.id], "other", LATER) == 0  # it is not the other's
        assert dissolve(ledger, batch.id, [gone.id], "v", LATER) == 1
        assert dissolve(ledger, batch.id, [gone.id], "v", LATER) == 0
        found = ledger.history(gone.key)[0].upload
        assert (found.reason, found.batch, found.quarantined_at) == ("vanished", None, LATER)
        with ledger.reading() as connection:
            remembered = select(fingerprints.c.upload).where(fingerprints.c.upload.in_([gone.id, kept.id])).distinct()
            assert connection.execute(remembered).scalars().all() == [kept.id]
        # The copy of what vanished may hold its picture still: it is measured anew, and is no duplicate now.
        assert everything(ledger)[copy_of_gone.key] is State.DISCOVERED
        assert settle_all(ledger, bucket, [1])[0].key == copy_of_gone.key
        assert everything(ledger)[copy_of_gone.key] is State.ACCEPTED
        (again,) = (seal_all(ledger), *unversioned(ledger))[1:]
        assert [image.key for image in again.images] == [kept.key, copy_of_gone.key]
        assert [link.key for link in again.links] == [copy_of_kept.key]
        with pytest.raises(HemaloopError, match="dissolved"):
            mark_versioned(ledger, batch, "c0ffee", "slow", LATER)


def test_the_same_link_again_and_again_joins_the_batch_that_says_it(ledger_url: str) -> None:
    with small_site(3, ledger_url) as (ledger, bucket):
        settle_all(ledger, bucket, [1])
        (first,) = (seal_all(ledger), *unversioned(ledger))[1:]
        mark_versioned(ledger, first, "c0ffee", "v", LATER)
        for _ in range(2):  # one after another, as a device does that forgets what it sent
            settle_all(ledger, bucket, [1])
            seal_all(ledger)
        (links,) = unversioned(ledger)
        assert len(links.links) == 1
        mark_versioned(ledger, links, "beef", "v", LATER)
        seal_all(ledger)
        assert list(unversioned(ledger)) == []
        assert {ledger.history(key)[0].upload.revision for key in everything(ledger)} == {"c0ffee", "beef"}


def test_a_heartbeat_keeps_what_a_long_round_holds(ledger_url: str, tmp_path: Path) -> None:
    with small_site(1, ledger_url) as (ledger, bucket):
        (upload,) = claim(ledger, bucket.url, "a", 1, LEASE, LATER)
        before = ledger.history(upload.key)[0]
        with heartbeat(ledger, "a", 0.03):
            sleep(0.3)
        after = ledger.history(upload.key)[0]
        assert after.upload.lease_until != before.upload.lease_until
        assert after.changes == before.changes  # it is no change of state
        with claimant(ledger, tmp_path / "claims", lease_seconds=LEASE):
            assert renew(ledger, "nobody", LEASE, LATER) == 0


def test_what_another_took_over_is_not_renewed(ledger_url: str) -> None:
    with small_site(2, ledger_url) as (ledger, bucket):
        claim(ledger, bucket.url, "slow", 2, LEASE, LATER)
        (taken,) = claim(ledger, bucket.url, "quick", 1, LEASE, EXPIRED)
        assert renew(ledger, "slow", 99 * LEASE, EXPIRED) == 1
        assert ledger.history(taken.key)[0].upload.lease_until == EXPIRED + timedelta(seconds=LEASE)
