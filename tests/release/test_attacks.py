"""What people try who hold some keys, or the bucket; each ends with what a device still believes."""

import copy
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from release_site import CutError, Device, DyingBucket, Site, bundle, now
from securesystemslib.signer import CryptoSigner
from tuf.api.exceptions import (
    BadVersionNumberError,
    LengthOrHashMismatchError,
    UnsignedMetadataError,
)
from tuf.api.metadata import TargetFile, Targets

from hemaloop.errors import ConfigError, GateRefused, UntrustedError
from hemaloop.release.approvals import pending
from hemaloop.release.approvals.approval import approve
from hemaloop.release.channels import write_channel
from hemaloop.release.keys.people import renew
from hemaloop.release.keys.rotation import Gathering
from hemaloop.release.keys.signers import load_key, load_online
from hemaloop.release.metadata import (
    CHANNELS,
    METADATA,
    TIMESTAMP,
    State,
    metadata_key,
    read_state,
    sign,
    target_key,
    verified,
)
from hemaloop.release.online import advance, next_channels
from hemaloop.release.parameters import EXPIRIES
from hemaloop.release.publish import move_channel, publish, refresh, rotate, status

EVIL = b"a model that nobody approved"


@pytest.fixture
def device(site: Site) -> Device:
    """A device that runs version 1."""
    site.approve(1, ["anna", "bob"])
    publish(site.bucket, site.online, "stable", now())
    device = site.device()
    assert (device.channel(), device.model(1)) == (1, bundle(1))
    return device


def under_sign(site: Site, version: int, signers: list[CryptoSigner]) -> None:
    """With every online key: targets that name an evil model, under too few signatures, all of it made visible."""
    state = read_state(site.bucket)
    keys = load_online(site.online, state.root, state.targets.signed)
    evil = TargetFile.from_data(f"models/{version}.zip", EVIL)
    site.bucket.write(target_key(evil), EVIL)
    signed = copy.deepcopy(state.targets.signed)
    signed.version += 1
    signed.targets[evil.path] = evil
    files = {"channels/stable.json": write_channel(site.bucket, "stable", version)}
    channels = next_channels(state, keys, files, now(), EXPIRIES)
    changed = replace(state, targets=sign(signed, signers), channels=channels)
    advance(site.bucket, state, changed, keys, now(), EXPIRIES)


def test_too_few_signatures_under_good_online_metadata_reach_no_device(site: Site, device: Device) -> None:
    under_sign(site, 2, [load_key(site.approver("anna"))])

    with pytest.raises(UnsignedMetadataError, match="signed by 1/2 keys"):
        device.model(2)
    with pytest.raises(UntrustedError, match="targets cannot be trusted"):
        refresh(site.bucket, site.online, now())


def test_who_holds_every_online_key_cannot_release_a_model(site: Site, device: Device) -> None:
    state = read_state(site.bucket)
    keys = load_online(site.online, state.root, state.targets.signed)
    evil = TargetFile.from_data("models/2.zip", EVIL)
    site.bucket.write(target_key(evil), EVIL)
    files = {evil.path: evil, "channels/stable.json": write_channel(site.bucket, "stable", 2)}
    changed = replace(state, channels=next_channels(state, keys, files, now(), EXPIRIES))
    advance(site.bucket, state, changed, keys, now(), EXPIRIES)

    assert device.channel() == 2  # it may say so
    assert device.model(2) is None  # but nobody whose signature counts has
    assert device.model(1) == bundle(1)

    under_sign(site, 2, [keys.channels, keys.snapshot, keys.timestamp])
    with pytest.raises(UnsignedMetadataError, match="signed by 0/2 keys"):
        device.model(2)


@pytest.mark.parametrize("renewals", [0, 1, 2])
def test_a_thief_of_the_server_publishes_lapsed_approvals_until_two_acts_came_between(
    folder_site: Site, renewals: int
) -> None:
    """No device checks an approval's age; docs/how-to/approve.md says why, and what ends it."""
    site, device = folder_site, folder_site.device()
    site.approve(1, ["anna", "bob"])
    publish(site.bucket, site.online, "stable", now())
    long_ago = now() - timedelta(days=31)
    for person in ("anna", "bob"):
        approve(site.bucket, 2, bundle(2), site.approver(person), person, "looks good", long_ago)
    stolen = pending.waiting(site.bucket, read_state(site.bucket), long_ago)
    assert stolen is not None
    assert publish(site.bucket, site.online, "stable", now()).version == 1
    for _ in range(renewals):
        renew(Gathering(site.bucket, _everyone(site), site.online, now()))
        assert device.model(1) == bundle(1)

    state = read_state(site.bucket)
    site.bucket.write(target_key(TargetFile.from_data("models/2.zip", bundle(2))), bundle(2))
    site.bucket.write(metadata_key(Targets.type, stolen.document().signed.version), stolen.document().data)
    keys = load_online(site.online, state.root, state.targets.signed)
    advance(site.bucket, state, replace(state, targets=stolen.document()), keys, now(), EXPIRIES)

    if renewals < 2:  # the same number of targets is no older one
        assert device.model(2) == bundle(2)
        return
    with pytest.raises(BadVersionNumberError):
        device.model(2)


def test_two_half_signed_versions_do_not_add_up(site: Site, device: Device) -> None:
    state = read_state(site.bucket)
    keys = load_online(site.online, state.root, state.targets.signed)
    halves = []
    for person, content in (("anna", EVIL), ("bob", b"another")):
        signed = copy.deepcopy(state.targets.signed)
        signed.version += 1
        signed.targets["models/2.zip"] = TargetFile.from_data("models/2.zip", content)
        halves.append((signed, load_key(site.approver(person))))
    mixed = sign(halves[0][0], [halves[0][1]])
    glued = mixed.data.replace(b'"signatures":[', b'"signatures":[' + _signature(*halves[1]) + b",")
    changed = replace(state, targets=replace(mixed, data=glued))
    advance(site.bucket, state, changed, keys, now(), EXPIRIES)

    with pytest.raises(UnsignedMetadataError, match="signed by 1/2 keys"):
        device.model(2)


def test_a_tampered_target_is_not_downloaded(site: Site, device: Device) -> None:
    (key,) = [o.key for o in site.bucket.list("releases/targets/models/")]
    good = site.bucket.read(key)
    site.bucket.write(key, good[:-1] + bytes([good[-1] ^ 1]))

    with pytest.raises(LengthOrHashMismatchError):
        site.device("fresh").model(1)

    site.bucket.write(key, good)
    assert device.model(1) == good


def test_a_rolled_back_bucket_is_refused_by_a_device_that_has_seen_more(site: Site, device: Device) -> None:
    old = {o.key: site.bucket.read(o.key) for o in site.bucket.list(METADATA)}
    site.approve(2, ["bob", "chloe"])
    publish(site.bucket, site.online, "stable", now())
    assert device.channel() == 2
    for key, data in old.items():
        site.bucket.write(key, data)

    with pytest.raises(BadVersionNumberError):
        device.channel()


def test_old_targets_under_new_online_metadata_are_refused(site: Site, device: Device) -> None:
    old = read_state(site.bucket)
    site.approve(2, ["bob", "chloe"])
    publish(site.bucket, site.online, "stable", now())
    assert device.channel() == 2
    state = read_state(site.bucket)
    keys = load_online(site.online, state.root, state.targets.signed)
    advance(site.bucket, state, replace(state, targets=old.targets), keys, now(), EXPIRIES)

    with pytest.raises(BadVersionNumberError):
        device.channel()


def test_a_device_that_saw_a_thiefs_snapshot_recovers_after_rotate(site: Site, device: Device) -> None:
    site.approve(2, ["anna", "chloe"])
    publish(site.bucket, site.online, "stable", now())
    assert device.channel() == 2
    _count_up(site, 10_000)
    under_sign(site, 3, [])
    with pytest.raises(UnsignedMetadataError):
        device.channel()
    stolen, stolen_channels = load_key(site.online / "timestamp.pem"), load_key(site.online / "channels.pem")

    found = rotate(site.bucket, _everyone(site), site.online, now())

    # The thief's channels named version 3, which nobody released: the channel waits for somebody to set it.
    assert (found.root, found.targets, found.channels) == (2, 4, {})
    move_channel(site.bucket, site.online, "stable", 2, now())
    for each in (device, site.device("fresh")):
        assert (each.channel(), each.model(2), each.model(3)) == (2, bundle(2), None)
    site.approve(3, ["bob", "chloe"])
    assert publish(site.bucket, site.online, "stable", now()).version == 3
    assert device.channel() == 3

    # What the thief signs from now on counts for nothing.
    state = read_state(site.bucket)
    with pytest.raises(UntrustedError, match="signed by 0/1"):
        verified(sign(state.channels.signed, [stolen_channels]).data, Targets, state.targets.signed, CHANNELS)
    site.bucket.write(TIMESTAMP, sign(read_state(site.bucket).timestamp.signed, [stolen]).data)
    with pytest.raises(UnsignedMetadataError):
        device.channel()


def test_rotate_wants_the_thresholds_and_changes_nothing_without(site: Site, device: Device) -> None:
    before = [(o.key, o.etag) for o in site.bucket.list(METADATA)]
    online = {path: path.read_bytes() for path in site.online.glob("*.pem")}

    with pytest.raises(GateRefused, match=r"root: 1 of 2 keys given; .* root keys of anna, bob, chloe"):
        rotate(site.bucket, site.root_keys("anna"), site.online, now())
    with pytest.raises(GateRefused, match="targets: 1 of 2 keys given"):
        rotate(site.bucket, [*site.root_keys("anna", "bob"), site.approver("anna")], site.online, now())
    with pytest.raises(ConfigError, match="wanted some of snapshot"):
        rotate(site.bucket, _everyone(site), site.online, now(), ["root"])
    assert [(o.key, o.etag) for o in site.bucket.list(METADATA)] == before
    assert {path: path.read_bytes() for path in site.online.glob("*.pem")} == online

    rotate(site.bucket, site.root_keys("anna", "bob"), site.online, now(), ["snapshot", "timestamp"])
    assert device.channel() == 1


def test_rotate_killed_at_any_write_is_finished_by_another(folder_site: Site) -> None:
    site = folder_site
    site.approve(1, ["anna", "bob"])
    publish(site.bucket, site.online, "stable", now())
    device = site.device()
    for write in range(1, 20):
        dying = DyingBucket(site.bucket, write, done=write % 2 == 0)
        try:
            rotate(dying, _everyone(site), site.online, now())
            break
        except CutError:
            rotate(site.bucket, _everyone(site), site.online, now())
        assert (device.channel(), device.model(1)) == (1, bundle(1))
        assert status(site.bucket, now()).channels == {"stable": 1}
    assert write == 8  # audit log, channels, targets, snapshot, root, timestamp, root.json


def test_a_channel_that_was_moved_by_a_thief_is_moved_back(folder_site: Site) -> None:
    """The thief holds the channels key: version 2 is named although 3 is out and names no fallback."""
    site = folder_site
    for version in (1, 2, 3):
        site.approve(version, ["anna", "bob"])
        publish(site.bucket, site.online, "stable", now())
    state = read_state(site.bucket)
    keys = load_online(site.online, state.root, state.targets.signed)
    files = {"channels/stable.json": write_channel(site.bucket, "stable", 2)}
    changed = replace(state, channels=next_channels(state, keys, files, now(), EXPIRIES))
    advance(site.bucket, state, changed, keys, now(), EXPIRIES)

    assert rotate(site.bucket, _everyone(site), site.online, now()).channels == {"stable": 2}
    move_channel(site.bucket, site.online, "stable", 3, now())
    assert site.device().channel() == 3


def test_anothers_online_keys_are_refused(folder_site: Site) -> None:
    site = folder_site
    (site.online / "snapshot.pem").write_bytes((site.online / "timestamp.pem").read_bytes())
    with pytest.raises(UntrustedError, match="does not count for snapshot"):
        refresh(site.bucket, site.online, now())


def _everyone(site: Site) -> list[Path]:
    return [*site.root_keys("anna", "chloe"), site.approver("anna"), site.approver("chloe")]


def _count_up(site: Site, versions: int) -> None:
    """The thief makes devices wait for versions that we would reach in years."""
    state: State = read_state(site.bucket)
    keys = load_online(site.online, state.root, state.targets.signed)
    for document in (state.timestamp, state.snapshot, state.channels):
        document.signed.version += versions
    changed = replace(state, channels=next_channels(state, keys, {}, now(), EXPIRIES))
    advance(site.bucket, state, changed, keys, now(), EXPIRIES)


def _signature(signed: object, signer: CryptoSigner) -> bytes:
    data = sign(signed, [signer]).data  # type: ignore[type-var]
    return data.split(b'"signatures":[', 1)[1].split(b"]", 1)[0]
