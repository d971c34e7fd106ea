"""Who may approve, and what exactly they sign."""

import copy
import logging
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from release_site import PEOPLE, CutError, DyingBucket, Site, bundle, now
from tuf.api.metadata import Metadata, Root, TargetFile

from hemaloop.errors import ConfigError, GateRefused, UntrustedError
from hemaloop.protocol.documents import decode, encode
from hemaloop.release.approvals import pending as proposals
from hemaloop.release.approvals.approval import Approvals, approve, is_author, pending, withdraw
from hemaloop.release.approvals.pending import Approval, Statement, payload_of, propose, sign_statement
from hemaloop.release.approvals.records import read_record
from hemaloop.release.keys.ceremony import hold_ceremony
from hemaloop.release.keys.signers import load_key, new_signer, write_key
from hemaloop.release.metadata import read_state, sign
from hemaloop.release.parameters import Expiries
from hemaloop.release.publish import publish
from hemaloop.storage import Bucket


def test_the_same_key_twice_counts_once(site: Site) -> None:
    site.approve(1, ["anna"])
    again = approve(site.bucket, 1, bundle(1), site.approver("anna"), "anna under another name", "sure", now())

    assert (again.version, again.people, again.threshold, again.missing) == (1, ("anna",), 2, 1)
    assert pending(site.bucket, now()) == again


def test_a_second_version_waits_until_the_first_is_withdrawn(site: Site) -> None:
    site.approve(1, ["anna"])

    with pytest.raises(GateRefused, match="version 1 waits for approval, signed by anna"):
        site.approve(2, ["bob"])
    assert pending(site.bucket, now()).people == ("anna",)  # type: ignore[union-attr]

    dropped = withdraw(site.bucket, now())
    assert dropped is not None
    assert dropped.version == 1
    assert pending(site.bucket, now()) is None
    assert site.approve(2, ["bob", "chloe"]).missing == 0
    assert publish(site.bucket, site.online, "stable", now()).version == 2


def test_approvals_given_at_the_same_moment_both_count(folder_site: Site) -> None:
    """Both found nothing waiting: the store has no locks, so neither may overwrite the other."""
    site = folder_site
    state = read_state(site.bucket)
    site.approve(1, ["anna"])
    waiting = proposals.waiting(site.bucket, state, now())
    assert waiting is not None
    first = [o.key for o in site.bucket.list(proposals.PENDING)]
    withdrawn = {key: site.bucket.read(key) for key in first}
    withdraw(site.bucket, now())
    site.approve(1, ["bob"])  # as if anna's had not been seen
    for key, data in withdrawn.items():
        site.bucket.write(key, data)

    assert set(pending(site.bucket, now()).people) == {"anna", "bob"}  # type: ignore[union-attr]
    assert publish(site.bucket, site.online, "stable", now()).version == 1


def test_two_versions_approved_at_the_same_moment_do_not_void_each_other(folder_site: Site) -> None:
    site = folder_site
    site.approve(2, ["anna"])
    other = {o.key: site.bucket.read(o.key) for o in site.bucket.list(proposals.PENDING)}
    withdraw(site.bucket, now())
    site.approve(1, ["bob"])
    for key, data in other.items():
        site.bucket.write(key, data)

    waits = pending(site.bucket, now())
    assert waits is not None
    finished = site.approve(waits.version, ["chloe"])
    assert finished.missing == 0
    assert publish(site.bucket, site.online, "stable", now()).version == waits.version


def test_an_approver_with_another_bundle_is_refused(site: Site) -> None:
    site.approve(1, ["anna"])

    with pytest.raises(UntrustedError, match="as anna approved it, is not the bundle given here"):
        approve(site.bucket, 1, bundle(1, model=b"other"), site.approver("bob"), "bob", "ok", now())

    assert pending(site.bucket, now()).people == ("anna",)  # type: ignore[union-attr]


@pytest.mark.parametrize("smuggled", ["another model", "a long life", "a wider delegation"])
def test_nothing_but_the_bundle_is_signed(folder_site: Site, smuggled: str) -> None:
    """One approver and the server conspire: what waits holds the model that everybody saw, and something more."""
    site = folder_site
    site.approve(1, ["anna"])
    honest = proposals.waiting(site.bucket, read_state(site.bucket), now())
    assert honest is not None
    withdraw(site.bucket, now())
    targets = copy.deepcopy(honest.targets)
    if smuggled == "another model":
        targets.targets["models/0.zip"] = TargetFile.from_data("models/0.zip", b"evil")
    elif smuggled == "a long life":
        targets.expires += timedelta(days=3650)
    else:
        targets.delegations.roles["channels"].paths.append("models/*")  # type: ignore[union-attr, index]
    propose(site.bucket, targets, bundle(1))
    payload = payload_of(targets)
    statement = Statement(proposals.folder_of(payload).split("/")[-2], 1, "anna", "hush", now())
    proposals.add(site.bucket, payload, sign_statement(load_key(site.approver("anna")), statement, payload))
    assert pending(site.bucket, now()).people == ("anna",)  # type: ignore[union-attr]

    with pytest.raises(UntrustedError, match="says more than that"):
        site.approve(1, ["bob"])


def test_a_strangers_key_is_refused_and_the_message_names_whose_keys_count(site: Site, tmp_path: Path) -> None:
    write_key(tmp_path / "stranger.pem", new_signer("mallory"))
    for key in (tmp_path / "stranger.pem", site.offline / "root-anna.pem", site.online / "snapshot.pem"):
        with pytest.raises(UntrustedError, match="those of anna, bob, chloe"):
            approve(site.bucket, 1, bundle(1), key, "mallory", "trust me", now())
    assert pending(site.bucket, now()) is None


def test_an_approver_trusts_their_own_root_and_not_the_buckets(folder_site: Site, tmp_path: Path) -> None:
    """A thief's root that names the approver too would turn an honest signature into one over the thief's models."""
    site, evil = folder_site, tmp_path / "evil"
    for found in list(site.bucket.list("releases/")):
        site.bucket.delete(found.key)
    hold_ceremony(site.bucket, evil / "offline", evil / "online", PEOPLE, 1, now())
    root = Metadata[Root].from_bytes((evil / "offline" / "root.json").read_bytes()).signed
    root.add_key(load_key(site.approver("anna")).public_key, "targets")
    forged = sign(root, [load_key(evil / "offline" / "root-anna.pem")])
    site.bucket.write("releases/metadata/1.root.json", forged.data)

    root = (site.offline / "root.json").read_bytes()
    with pytest.raises(UntrustedError, match="timestamp cannot be trusted"):
        site.approve(1, ["anna"])
    with pytest.raises(UntrustedError, match="timestamp cannot be trusted"):
        approve(site.bucket, 1, bundle(1), str(site.approver("anna")), "anna", "ok", now(), anchor=root)
    (site.offline / "root.json").unlink()
    assert site.approve(1, ["anna"]).people == ("anna",)  # so keep root.json beside the key


def test_person_and_reason_cannot_be_changed_in_the_bucket(folder_site: Site) -> None:
    site = folder_site
    site.approve(1, ["anna"])
    (key,) = [o.key for o in site.bucket.list(proposals.PENDING) if "/approvals/" in o.key]
    site.bucket.write(key, site.bucket.read(key).replace(b"looks good", b"looks bad!"))

    assert pending(site.bucket, now()) is None


def test_an_approval_without_its_signature_does_not_count(folder_site: Site) -> None:
    site = folder_site
    site.approve(1, ["anna"])
    (key,) = [o.key for o in site.bucket.list(proposals.PENDING) if "/approvals/" in o.key]
    approval = decode(site.bucket.read(key), Approval)
    site.bucket.write(key, encode(replace(approval, signature="00" * 64)))

    assert pending(site.bucket, now()) is None


def test_an_approval_killed_at_any_write_is_there_or_not_and_can_be_given_again(folder_site: Site) -> None:
    site = folder_site
    for write in range(1, 5):
        for done in (False, True):
            dying = DyingBucket(site.bucket, write, done)
            with pytest.raises(CutError):
                approve(dying, 1, bundle(1), site.approver("anna"), "anna", "ok", now())
            assert (pending(site.bucket, now()) is not None) == (write == 4 and done)
    assert site.approve(1, ["anna", "bob"]).people == ("anna", "bob")


def test_released_versions_and_unknown_fallbacks_are_refused(folder_site: Site) -> None:
    site = folder_site
    site.approve(5, ["anna", "bob"])
    publish(site.bucket, site.online, "stable", now())

    with pytest.raises(GateRefused, match="not newer than 5"):
        site.approve(5, ["chloe"])
    with pytest.raises(GateRefused, match="not newer than 5"):
        site.approve(4, ["chloe"])
    with pytest.raises(GateRefused, match="names 3 to fall back to"):
        site.approve(6, ["chloe"], bundle(6, fallback=3))
    with pytest.raises(UntrustedError, match="is of version 7, not 6"):
        site.approve(6, ["chloe"], bundle(7))
    with pytest.raises(ConfigError, match="a person and a reason"):
        approve(site.bucket, 6, bundle(6), site.approver("anna"), "anna", " ", now())


def test_keys_are_their_owners_alone_and_an_open_one_is_said(
    folder_site: Site, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    site = folder_site
    keys = [*site.offline.glob("*.pem"), *site.online.glob("*.pem")]
    assert len(keys) == 9
    assert {path.stat().st_mode & 0o777 for path in keys} == {0o600}
    with caplog.at_level(logging.WARNING):
        site.approve(1, ["anna"])
    assert "approver-anna.pem is not encrypted" in caplog.text
    closed = site.offline / "approver-bob.pem"
    write_key(closed, load_key(closed), b"secret")
    with pytest.raises(ConfigError, match="is encrypted: set HEMALOOP_KEY_PASSPHRASE"):
        site.approve(1, ["bob"])
    monkeypatch.setenv("HEMALOOP_KEY_PASSPHRASE", "wrong")
    with pytest.raises(ConfigError, match="is not its passphrase"):
        site.approve(1, ["bob"])
    caplog.clear()
    monkeypatch.setenv("HEMALOOP_KEY_PASSPHRASE", "secret")
    assert site.approve(1, ["bob"]).missing == 0
    assert "not encrypted" not in caplog.text


def test_there_is_one_ceremony(folder_site: Site, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="has had its key ceremony"):
        hold_ceremony(folder_site.bucket, tmp_path / "a", tmp_path / "b", PEOPLE, 2, now())
    folder_site.bucket.delete("releases/metadata/1.root.json")
    with pytest.raises(ConfigError, match="is a key already"):
        hold_ceremony(folder_site.bucket, folder_site.offline, folder_site.online, PEOPLE, 2, now())
    with pytest.raises(ConfigError, match="wanted 1 to 3"):
        hold_ceremony(folder_site.bucket, tmp_path / "a", tmp_path / "b", PEOPLE, 4, now())
    assert not (tmp_path / "a").exists()


def test_an_approval_that_something_else_overtook_is_signed_anew_over_what_holds_then(
    folder_site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    """Two approve different versions at the same moment; the one that is published first voids no signature unseen."""
    site = folder_site
    site.approve(2, ["anna"])
    other = {o.key: site.bucket.read(o.key) for o in site.bucket.list(proposals.PENDING)}
    withdraw(site.bucket, now())
    site.approve(1, ["bob", "chloe"])
    for key, data in other.items():
        site.bucket.write(key, data)
    publish(site.bucket, site.online, "stable", now())

    state = read_state(site.bucket)
    (lost,) = proposals.overtaken(site.bucket, state)
    assert (lost.version, [a.statement.person for a in lost.approvals]) == (2, ["anna"])
    assert pending(site.bucket, now()) is None  # anna signed targets without version 1: that counts for nothing now
    with caplog.at_level(logging.WARNING):
        assert site.approve(2, ["bob"]).people == ("bob",)
    assert "to approve version 2, anna signed targets 2, which something else has taken since" in caplog.text
    assert site.approve(2, ["anna"]).missing == 0
    publish(site.bucket, site.online, "stable", now())
    device = site.device()
    assert (device.model(1), device.model(2)) == (bundle(1), bundle(2))


def test_an_expired_approval_does_not_count_and_can_be_given_again(folder_site: Site) -> None:
    site, early = folder_site, now() - timedelta(days=31)
    approve(site.bucket, 1, bundle(1), site.approver("anna"), "anna", "ok", early)
    assert approve(site.bucket, 1, bundle(1), site.approver("bob"), "bob", "ok", early + timedelta(days=2)).missing == 0

    found = pending(site.bucket, now())
    assert found is not None
    assert (found.people, found.expired, found.missing) == (("bob",), ("anna",), 1)
    with pytest.raises(GateRefused, match=r"1 of 2 approvals \(bob\); 1 missing; expired: anna"):
        publish(site.bucket, site.online, "stable", now())
    assert site.device().model(1) is None
    assert pending(site.bucket, now(), Expiries(approval=40)).missing == 0  # type: ignore[union-attr]
    assert pending(site.bucket, now() + timedelta(days=2)) is None  # both are too old: nothing waits any more

    assert site.approve(1, ["anna"]).people == ("bob", "anna")
    publish(site.bucket, site.online, "stable", now())
    record = read_record(site.bucket, 1)
    assert record is not None
    assert record.people == ("bob", "anna")


def test_an_expired_signature_is_not_published_beside_enough_others(folder_site: Site) -> None:
    site, early = folder_site, now() - timedelta(days=31)
    approve(site.bucket, 1, bundle(1), site.approver("anna"), "anna", "ok", early)
    approve(site.bucket, 1, bundle(1), site.approver("bob"), "bob", "ok", early + timedelta(days=2))
    site.approve(1, ["chloe"])

    assert publish(site.bucket, site.online, "stable", now()).approved_by == ("bob", "chloe")
    state = read_state(site.bucket)
    assert len(Metadata.from_bytes(state.targets.data).signatures) == 2
    record = read_record(site.bucket, 1)
    assert record is not None
    assert record.people == ("bob", "chloe")


def test_an_approval_dated_ahead_does_not_count(folder_site: Site) -> None:
    site = folder_site
    site.approve(1, ["bob"])
    approve(site.bucket, 1, bundle(1), site.approver("anna"), "anna", "ok", now() + timedelta(days=20))

    with pytest.raises(GateRefused, match="1 of 2 approvals"):
        publish(site.bucket, site.online, "stable", now())


def test_the_author_is_not_the_only_approver(tmp_path: Path) -> None:
    bucket = Bucket(f"file://{tmp_path}/bucket")
    bucket.create()
    hold_ceremony(bucket, tmp_path / "offline", tmp_path / "online", PEOPLE, 1, now())
    author = "Anna Smith <Anna@lab.example>"

    def sign(person: str, by: str = author) -> Approvals:
        key = tmp_path / "offline" / f"approver-{person}.pem"
        return approve(bucket, 1, bundle(1), key, "somebody else", "ok", now(), author=by)

    found = sign("anna")
    assert (found.missing, found.author_alone, found.author) == (1, True, author)
    with pytest.raises(GateRefused, match=r"Anna Smith <Anna@lab\.example> made it, so somebody else must approve"):
        publish(bucket, tmp_path / "online", "stable", now())
    with pytest.raises(UntrustedError, match="was shown with another author"):
        sign("bob", "Bob <bob@lab.example>")
    assert sign("bob").missing == 0
    assert publish(bucket, tmp_path / "online", "stable", now()).version == 1


@pytest.mark.parametrize(
    ("owner", "author", "same"),
    [
        ("anna", "Anna Smith <anna@lab.example>", True),
        ("anna.smith", "Anna Smith <a@lab.example>", True),
        ("anna-smith", "A. <Anna_Smith@lab.example>", True),
        ("anna", "Anna Smith <a.smith@lab.example>", False),
        ("bob", "", False),
        ("bob", "Anna <bobby@lab.example>", False),
    ],
)
def test_authors_are_known_by_name_and_address(owner: str, author: str, same: bool) -> None:
    assert is_author(owner, author) == same
