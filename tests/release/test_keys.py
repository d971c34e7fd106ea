"""New keys for people: devices follow, the old keys count no more, and nobody can be locked out."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from release_site import PEOPLE, CutError, Device, DyingBucket, Site, bundle, now
from tuf.api.metadata import Metadata, Root, Targets

from hemaloop.errors import ConfigError, GateRefused, UntrustedError
from hemaloop.release.approvals.acts import act_of, revoked
from hemaloop.release.audit import read_log, verify_entries
from hemaloop.release.channels import CUSTOM
from hemaloop.release.keys.change import Change, next_targets
from hemaloop.release.keys.people import add_person, renew, replace_key, revoke_person
from hemaloop.release.keys.rotation import Gathering, Rotated
from hemaloop.release.keys.signers import load_key, owners_of
from hemaloop.release.metadata import Document, read_root, read_state
from hemaloop.release.parameters import EXPIRIES
from hemaloop.release.publish import publish, status
from hemaloop.release.status import warnings
from hemaloop.storage import Bucket


@pytest.fixture
def released(folder_site: Site) -> Site:
    """Version 1 is out, approved by anna and bob."""
    folder_site.approve(1, ["anna", "bob"])
    publish(folder_site.bucket, folder_site.online, "stable", now())
    return folder_site


@pytest.fixture
def device(released: Site) -> Device:
    """A device that runs version 1."""
    device = released.device()
    assert (device.channel(), device.model(1)) == (1, bundle(1))
    return device


def gather(site: Site, keys: Sequence[Path], bucket: Bucket | None = None) -> Gathering:
    return Gathering(bucket or site.bucket, keys, site.online, now(), reason="a drill")


def both(site: Site, *people: str) -> list[Path]:
    """Root and approvers' keys of people."""
    return [*site.root_keys(*people), *(site.approver(person) for person in people)]


def holders(site: Site) -> dict[str, list[str]]:
    root = read_root(site.bucket)
    return {role: owners_of(root, role) for role in (Root.type, Targets.type)}


def assert_followed(site: Site, device: Device, version: int = 1) -> None:
    """The device that saw the old root, and one that is set up with the first root today, see the same."""
    for each in (device, site.device("fresh")):
        assert (each.channel(), each.model(version)) == (version, bundle(version))


def test_a_replaced_root_key_counts_no_more_and_devices_follow(released: Site, device: Device) -> None:
    site = released
    stick = site.folder / "stick"

    done = replace_key(gather(site, site.root_keys("bob", "chloe")), "root", "anna", stick)

    assert (done.root, done.targets, done.channels, done.spare) == (2, 2, {"stable": 1}, {"root": 1, "targets": 1})
    assert_followed(site, device)
    assert holders(site)["root"] == list(PEOPLE)
    folder = stick / "root-2"
    assert done.folder == folder
    (*_, entry) = verify_entries(read_log(site.bucket), {}).entries
    assert (entry.entry.subject, entry.entry.by, entry.entry.reason) == ("root 2", "anna, bob, chloe", "a drill")
    assert entry.entry.details == {"added": "root of anna", "revoked": "root of anna"}
    assert sorted(path.name for path in folder.iterdir()) == ["root-anna.pem", "root.json"]
    assert Metadata[Root].from_bytes((folder / "root.json").read_bytes()).signed.version == 2
    assert (folder / "root-anna.pem").stat().st_mode & 0o777 == 0o600
    with pytest.raises(GateRefused, match="root: 1 of 2 keys given"):
        renew(gather(site, both(site, "anna", "bob")))
    renew(gather(site, [folder / "root-anna.pem", *site.root_keys("bob"), *both(site, "bob", "chloe")[2:]]))
    assert_followed(site, device)


def test_a_replaced_approvers_key_approves_no_more_and_the_new_one_does(released: Site, device: Device) -> None:
    site = released
    stick = site.folder / "stick"
    old = site.approver("anna").read_bytes()

    done = replace_key(gather(site, both(site, "bob", "chloe")), "targets", "anna", stick)

    # Anna had signed the targets: bob and chloe signed them anew, or no device could believe them.
    assert (done.root, done.targets) == (2, 3)
    assert_followed(site, device)
    with pytest.raises(UntrustedError, match="does not count for approvals"):
        site.approve(2, ["anna"])
    site.approver("anna").write_bytes((stick / "root-2/approver-anna.pem").read_bytes())
    site.approve(2, ["anna", "bob"])
    publish(site.bucket, site.online, "stable", now())
    assert_followed(site, device, 2)
    assert site.approver("anna").read_bytes() != old


def test_targets_stay_as_they_are_where_enough_who_signed_them_still_count(released: Site, device: Device) -> None:
    site = released
    site.approve(2, ["anna"])
    done = revoke_person(gather(site, site.root_keys("anna", "bob")), "chloe")
    assert (done.root, done.targets, done.spare) == (2, 2, {"root": 0, "targets": 0})
    found = status(site.bucket, now()).pending
    assert found is not None
    assert found.people == ("anna",)  # what waits goes on waiting
    assert_followed(site, device)


def test_a_revoked_persons_approval_that_waits_counts_no_more(released: Site, device: Device) -> None:
    site = released
    site.approve(2, ["chloe"])
    revoke_person(gather(site, site.root_keys("anna", "bob")), "chloe")
    assert status(site.bucket, now()).pending is None
    site.approve(2, ["anna"])
    with pytest.raises(GateRefused, match=r"1 of 2 approvals \(anna\)"):
        publish(site.bucket, site.online, "stable", now())
    assert_followed(site, device)


def test_revoking_a_person_is_refused_where_too_few_would_be_left(released: Site, device: Device) -> None:
    site = released
    revoke_person(gather(site, both(site, "anna", "bob")), "chloe")
    before = [(o.key, o.etag) for o in site.bucket.list("releases/")]

    with pytest.raises(GateRefused, match=r"root: 1 keys would be left of the 2 .*`hemaloop keys add"):
        revoke_person(gather(site, both(site, "anna", "bob")), "bob")
    with pytest.raises(GateRefused, match="root: 1 of 2 keys given"):
        revoke_person(gather(site, both(site, "anna")), "bob", threshold=1)
    with pytest.raises(ConfigError, match="zoe holds no key; those that count are of anna, bob"):
        revoke_person(gather(site, both(site, "anna", "bob")), "zoe")
    assert [(o.key, o.etag) for o in site.bucket.list("releases/")] == before
    assert_followed(site, device)

    add_person(gather(site, both(site, "anna", "bob")), "dora", site.folder / "stick")
    new = site.folder / "stick/root-3"
    assert holders(site) == {"root": ["anna", "bob", "dora"], "targets": ["anna", "bob", "dora"]}
    doras = [new / "root-dora.pem", new / "approver-dora.pem"]
    done = revoke_person(gather(site, [*both(site, "anna"), *doras, *site.root_keys("bob")]), "bob")
    assert done.spare == {"root": 0, "targets": 0}
    assert holders(site)["targets"] == ["anna", "dora"]
    assert_followed(site, device)

    lone = revoke_person(gather(site, [*both(site, "anna"), doras[0]]), "dora", threshold=1)
    assert holders(site)["root"] == ["anna"]
    assert lone.spare == {"root": 0, "targets": 0}
    assert_followed(site, device)


def test_a_person_is_added_once_and_only_people_are(released: Site) -> None:
    site = released
    with pytest.raises(ConfigError, match="anna has a root key already"):
        add_person(gather(site, both(site, "anna", "bob")), "anna", site.folder / "stick")
    with pytest.raises(ConfigError, match="person 'a b'"):
        add_person(gather(site, both(site, "anna", "bob")), "a b", site.folder / "stick")
    with pytest.raises(ConfigError, match="wanted root or targets"):
        replace_key(gather(site, both(site, "anna", "bob")), "snapshot", "anna", site.folder / "stick")
    with pytest.raises(ConfigError, match="dora has no root key"):
        replace_key(gather(site, both(site, "anna", "bob")), "root", "dora", site.folder / "stick")
    with pytest.raises(GateRefused, match="4 that must sign"):
        revoke_person(gather(site, both(site, "anna", "bob")), "chloe", threshold=4)
    assert read_root(site.bucket).version == 1
    assert not (site.folder / "stick").exists()


def test_the_same_key_given_twice_counts_once(released: Site) -> None:
    with pytest.raises(GateRefused, match="root: 1 of 2 keys given"):
        renew(gather(released, both(released, "anna", "anna")))


def test_targets_signed_anew_for_keys_keep_what_was_revoked_and_approve_nothing(released: Site) -> None:
    state = read_state(released.bucket)
    signed = state.targets.signed
    assert act_of(signed) is not None
    signed.unrecognized_fields[CUSTOM]["revoked"] = [7]
    people = [load_key(path) for path in both(released, "anna", "bob")]
    after = next_targets(Document(signed, b""), Change(renews=True), state.root, people, now(), EXPIRIES).signed
    assert (act_of(after), revoked(after)) == (None, {7})


def test_a_threshold_that_rises_wants_the_keys_of_the_new_one(released: Site, device: Device) -> None:
    site = released
    add = [*both(site, "anna", "bob")]
    with pytest.raises(GateRefused, match="root: 3 of 4 keys given"):
        add_person(gather(site, add), "dora", site.folder / "stick", threshold=4)
    done = add_person(gather(site, both(site, *PEOPLE)), "dora", site.folder / "stick", threshold=4)
    assert done.spare == {"root": 0, "targets": 0}
    assert_followed(site, device)


CHANGES: dict[str, Callable[[Site, Bucket], Rotated]] = {
    "replace root": lambda site, bucket: replace_key(
        gather(site, site.root_keys("bob", "chloe"), bucket), "root", "anna", site.folder / "stick"
    ),
    "replace approver": lambda site, bucket: replace_key(
        gather(site, both(site, "bob", "chloe"), bucket), "targets", "anna", site.folder / "stick"
    ),
    "revoke": lambda site, bucket: revoke_person(gather(site, both(site, "bob", "chloe"), bucket), "anna"),
    "add": lambda site, bucket: add_person(
        gather(site, both(site, *PEOPLE), bucket), "dora", site.folder / "stick", threshold=3
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_killed_at_any_write_is_finished_by_another_of_the_same(
    released: Site, tmp_path: Path, name: str
) -> None:
    first = {o.key: released.bucket.read(o.key) for o in released.bucket.list("releases/")}
    for write in range(1, 20):
        bucket = Bucket(f"file://{tmp_path}/copy-{write}")
        bucket.create()
        for key, data in first.items():
            bucket.write(key, data)
        folder = tmp_path / f"people-{write}"
        folder.mkdir()
        for kind in ("offline", "online"):
            (folder / kind).symlink_to(released.folder / kind)
        site = Site(bucket, folder)
        device = site.device()
        assert device.channel() == 1
        killed = False
        try:
            CHANGES[name](site, DyingBucket(bucket, write, done=write % 2 == 0))
        except CutError:
            killed = True
            CHANGES[name](site, bucket)
        assert_followed(site, device)
        assert read_root(bucket).version == 2, "the second run makes no second change"
        if not killed:
            break
    assert write == 8  # audit log, channels, targets, snapshot, root, timestamp, root.json


def test_renewing_signs_root_and_targets_for_another_year(folder_site: Site, tmp_path: Path) -> None:
    site = folder_site
    later = now() + timedelta(days=340)
    told = [line.split(" expires in")[0] for line in warnings(status(site.bucket, later)) if "expires in" in line]
    assert told == ["root 1", "targets 1"]
    done = renew(Gathering(site.bucket, both(site, "anna", "bob"), site.online, later))
    assert (done.root, done.targets) == (2, 2)
    assert warnings(status(site.bucket, later)) == []


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["add", "revoke", "root", "targets"]), st.sampled_from("abcd"), st.integers(1, 4)),
        min_size=1,
        max_size=4,
    )
)
def test_whatever_changes_follow_each_other_devices_follow_and_enough_keys_are_left(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, str, int]]
) -> None:
    from hemaloop.release.keys.ceremony import hold_ceremony

    folder = tmp_path_factory.mktemp("site")
    bucket = Bucket(f"file://{folder}/bucket")
    bucket.create()
    hold_ceremony(bucket, folder / "offline", folder / "online", ["a", "b"], 1, now())
    site = Site(bucket, folder)
    site.approve(1, ["a"])
    publish(bucket, site.online, "stable", now())
    old = site.device("old")
    assert old.channel() == 1
    for number, (step, person, threshold) in enumerate(steps):
        everybody = sorted(folder.rglob("*.pem"))
        gathering = gather(site, [path for path in everybody if path.parent != site.online])
        stick = folder / f"stick-{number}"
        try:
            if step == "add":
                add_person(gathering, person, stick, threshold)
            elif step == "revoke":
                revoke_person(gathering, person, threshold)
            else:
                replace_key(gathering, step, person, stick)
        except (ConfigError, GateRefused):
            continue
        root = read_root(bucket)
        for role in (Root.type, Targets.type):
            assert 1 <= root.roles[role].threshold <= len(root.roles[role].keyids)
        assert old.channel() == 1
    assert_followed(site, old)
