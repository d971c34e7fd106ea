"""The audit log: nothing is lost by two writers, nothing is changed or taken away unnoticed."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pytest
from release_site import Site, bundle, now

from hemaloop.protocol.documents import decode, encode
from hemaloop.release.approvals.records import REVOCATIONS
from hemaloop.release.approvals.revocation import revoke
from hemaloop.release.audit import AUDIT, Findings, Signed, append, read_log, verify_entries
from hemaloop.release.auditing import verify_log
from hemaloop.release.keys.people import revoke_person
from hemaloop.release.keys.rotation import Gathering
from hemaloop.release.keys.signers import new_signer
from hemaloop.release.metadata import read_state
from hemaloop.release.publish import publish
from hemaloop.storage import Bucket

NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)


@pytest.fixture
def bucket(tmp_path: Path) -> Bucket:
    made = Bucket(f"file://{tmp_path}/bucket")
    made.create()
    return made


def add(bucket: Bucket, number: int) -> str:
    return append(bucket, "channel", "channel stable", "server", f"move {number}", NOON + timedelta(minutes=number))


def check(bucket: Bucket, known: tuple[str, ...] = ()) -> Findings:
    return verify_entries(read_log(bucket), {}, known)


def test_a_log_says_what_was_done_in_order(bucket: Bucket) -> None:
    signer = new_signer("anna")
    append(bucket, "approve", "version 7", "anna", "better", NOON, {"sha256": "00"}, signer)
    last = add(bucket, 1)

    found = verify_entries(read_log(bucket), {signer.public_key.keyid: signer.public_key})

    assert (found.faults, found.forks, found.heads) == ((), (), (last,))
    assert [str(signed.entry) for signed in found.entries] == [
        "1 2026-11-02 12:00 approve version 7, anna: better",
        "2 2026-11-02 12:01 channel channel stable, server: move 1",
    ]


def test_many_writers_at_once_lose_no_entry_and_their_forks_are_told(any_bucket: Bucket) -> None:
    with ThreadPoolExecutor(6) as writers:
        list(writers.map(lambda number: add(any_bucket, number), range(12)))
    last = add(any_bucket, 12)

    found = check(any_bucket)

    assert {signed.entry.reason for signed in found.entries} == {f"move {number}" for number in range(13)}
    assert (found.faults, found.heads) == ((), (last,))
    assert found.forks or [signed.entry.number for signed in found.entries] == list(range(1, 14))


def test_two_that_saw_the_same_end_are_both_kept_and_joined_by_the_next(bucket: Bucket) -> None:
    first = add(bucket, 1)
    before = {found.key: bucket.read(found.key) for found in bucket.list(AUDIT)}
    add(bucket, 2)
    (second,) = [found.key for found in bucket.list(AUDIT) if found.key not in before]
    kept = bucket.read(second)
    bucket.delete(second)
    add(bucket, 3)  # as if the other had not been seen
    bucket.write(second, kept)

    assert len(check(bucket).heads) == 2
    last = add(bucket, 4)

    found = check(bucket)
    assert (found.faults, found.heads) == ((), (last,))
    assert [signed.entry.number for signed in found.entries] == [1, 2, 2, 3]
    assert found.entries[1].entry.previous == (first,)
    (fork,) = found.forks
    assert "move 2" in fork
    assert "move 3" in fork


@pytest.mark.parametrize("at", [0, 2, 3])
@pytest.mark.parametrize("how", ["change", "delete", "rename", "rewrite"])
def test_whatever_is_done_to_an_entry_the_fault_says_where(bucket: Bucket, at: int, how: str) -> None:
    hashes = [add(bucket, number) for number in range(4)]
    key = f"{AUDIT}{at + 1:08}-{hashes[at]}.json"
    data = bucket.read(key)
    bucket.delete(key)
    if how == "change":
        bucket.write(key, data.replace(b"stable", b"canary"))
    elif how == "rename":
        bucket.write(f"{AUDIT}{at + 7:08}-{hashes[at]}.json", data)
    elif how == "rewrite":  # and the entry after it still names the old hash
        signed = decode(data, Signed)
        assert len(signed.entry.previous) == (0 if at == 0 else 1)
        append(bucket, "channel", "channel canary", "server", signed.entry.reason, signed.entry.at)

    faults = check(bucket, (hashes[-1],)).faults

    assert faults
    assert any(hashes[at] in fault for fault in faults)


def test_an_end_that_was_cut_off_is_missed_by_whoever_kept_its_hash(bucket: Bucket) -> None:
    add(bucket, 1)
    last = add(bucket, 2)
    bucket.delete(f"{AUDIT}00000002-{last}.json")

    assert check(bucket).faults == ()
    assert check(bucket, (last,)).faults == (f"entry {last} was in the log and is gone",)


def test_what_only_an_approver_can_do_is_signed_with_their_key(bucket: Bucket) -> None:
    with pytest.raises(ValueError, match="signed if it is a person's"):
        append(bucket, "approve", "version 7", "anna", "better", NOON)
    signer, stranger = new_signer("anna"), new_signer("mallory")
    append(bucket, "approve", "version 7", "anna", "better", NOON, signer=stranger)
    (stored,) = read_log(bucket)
    bare = Signed(decode(stored.data, Signed).entry)
    bucket.delete(stored.name)

    keys = {signer.public_key.keyid: signer.public_key}
    assert "is not signed by an approver's key" in verify_entries([stored], keys).faults[0]
    append(bucket, "channel", "channel stable", "server", "", NOON)
    data = encode(bare)
    bucket.delete(read_log(bucket)[0].name)
    bucket.write(f"{AUDIT}00000001-{sha256(data).hexdigest()}.json", data)
    assert "approve by anna is not signed" in verify_entries(read_log(bucket), keys).faults[0]


@pytest.fixture
def released_and_revoked(folder_site: Site) -> Site:
    """Version 2 was released and revoked; 1 is released."""
    site = folder_site
    for version in (1, 2):
        site.approve(version, ["anna", "bob"], bundle(version, 1 if version == 2 else None))
        publish(site.bucket, site.online, "stable", now())
    for person in ("bob", "chloe"):
        revoke(site.bucket, 2, site.approver(person), person, "misses blasts", now())
    publish(site.bucket, site.online, "stable", now())
    return site


def test_every_act_of_approvers_is_told_and_signed_with_their_keys(released_and_revoked: Site) -> None:
    found = verify_log(released_and_revoked.bucket)

    assert (found.faults, found.forks) == ((), ())
    assert [(signed.entry.event, signed.entry.subject, signed.entry.by) for signed in found.entries] == [
        ("keys", "root 1", "anna, bob, chloe"),
        ("approve", "version 1", "anna"),
        ("approve", "version 1", "bob"),
        ("publish", "version 1", "server"),
        ("approve", "version 2", "anna"),
        ("approve", "version 2", "bob"),
        ("publish", "version 2", "server"),
        ("revoke", "version 2", "bob"),
        ("revoke", "version 2", "chloe"),
        ("publish", "version 2", "server"),
    ]


def test_a_log_that_was_written_anew_without_an_act_is_found_out(released_and_revoked: Site) -> None:
    """Whoever holds the bucket can make a chain that holds; they can't make it tell what only approvers can sign."""
    bucket = released_and_revoked.bucket
    for stored in read_log(bucket):
        bucket.delete(stored.name)
    append(bucket, "keys", "root 1", "anna", "the key ceremony", NOON)

    assert verify_log(bucket).faults == (
        "the log does not tell that anna did approve version 1",
        "the log does not tell that bob did approve version 1",
        "the log does not tell that it was published to approve version 1",
        "the log does not tell that bob did revoke version 2",
        "the log does not tell that chloe did revoke version 2",
        "the log does not tell that it was published to revoke version 2",
    )
    bucket.delete(f"{REVOCATIONS}2.json")
    assert "nobody is recorded to revoke version 2" in verify_log(bucket).faults[-1]


def test_entries_signed_with_keys_of_earlier_roots_still_count(released_and_revoked: Site) -> None:
    site = released_and_revoked
    keys = [*site.root_keys("anna", "chloe"), site.approver("anna"), site.approver("chloe")]
    revoke_person(Gathering(site.bucket, keys, site.online, now()), "bob")

    assert len(read_state(site.bucket).root.get_delegated_role("targets").keyids) == 2
    assert verify_log(site.bucket).faults == ()
