"""TUF's attacks on a device by whoever holds the bucket, and some of the keys. What runs goes on running.

Arbitrary software, rollback, a threshold short by one, replaced golden images: test_update.py. What the server
itself can do, endless data, slow retrieval, extraneous dependencies: test_hostile_store.py.
Source of the names: https://theupdateframework.github.io/specification/latest/#goals
"""

import copy
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from attack_bench import approvers_sign, assert_kept, assert_untouched, channel, every_key, make_visible, newest, people
from device_bench import Cloud, Pi, build
from tuf.api.metadata import Snapshot, TargetFile, Targets

from hemaloop.device.home import utc_now
from hemaloop.device.updates.slots import Active
from hemaloop.device.updates.update import Returned, Updated, UpToDate
from hemaloop.protocol.bundle import pack
from hemaloop.protocol.channel import Channel, channel_target, model_target
from hemaloop.protocol.documents import encode
from hemaloop.release.keys.people import renew
from hemaloop.release.keys.rotation import Gathering, rotate
from hemaloop.release.keys.signers import load_key, load_online
from hemaloop.release.metadata import (
    CHANNELS,
    METADATA,
    TIMESTAMP,
    metadata_key,
    read_state,
    sign,
)
from hemaloop.release.online import halt, next_snapshot, next_timestamp, unhalt
from hemaloop.release.parameters import EXPIRIES
from hemaloop.release.publish import refresh

pytestmark = pytest.mark.slow


# Indefinite freeze


def test_a_device_that_is_shown_an_old_bucket_notices_when_it_expires(
    cloud: Cloud, pi: Pi, running: Active, tmp_path: Path
) -> None:
    old = {found.key: cloud.bucket.read(found.key) for found in cloud.bucket.list(METADATA)}
    cloud.release(build(2))
    for key, data in old.items():
        cloud.bucket.write(key, data)
    assert pi.update() == UpToDate(1)  # all that it is shown is good, still
    later = utc_now() + timedelta(days=1, minutes=1)
    assert_kept(pi, running, pi.update(lambda: later), "timestamp.json is expired: either nobody refreshes")


def test_fresh_timestamps_over_an_old_snapshot_freeze_a_device_no_longer_than_a_week(
    cloud: Cloud, pi: Pi, running: Active
) -> None:
    state = read_state(cloud.bucket)
    later = utc_now() + timedelta(days=7, minutes=1)
    keys = load_online(cloud.online, state.root, state.targets.signed)
    cloud.bucket.write(TIMESTAMP, next_timestamp(state, keys, later, EXPIRIES).data)
    assert_kept(pi, running, pi.update(lambda: later), "snapshot.json is expired")


def test_an_expired_root_stops_updates_until_people_renew_it(cloud: Cloud, pi: Pi, running: Active) -> None:
    later = utc_now() + timedelta(days=366)
    refresh(cloud.bucket, cloud.online, later)
    assert_kept(pi, running, pi.update(lambda: later), "root.json is expired")
    renew(Gathering(cloud.bucket, every_key(cloud), cloud.online, later))
    assert pi.update(lambda: later) == UpToDate(1)


# Fast-forward


def test_a_device_that_was_shown_far_versions_follows_again_after_new_keys(
    cloud: Cloud, pi: Pi, running: Active
) -> None:
    state = read_state(cloud.bucket)
    keys = load_online(cloud.online, state.root, state.targets.signed)
    for document in (state.timestamp, state.snapshot):
        document.signed.version += 10**6
    far = replace(state, snapshot=next_snapshot(state, keys, utc_now(), EXPIRIES))
    cloud.bucket.write(metadata_key(Snapshot.type, far.snapshot.signed.version), far.snapshot.data)
    before = cloud.bucket.read(TIMESTAMP)
    cloud.bucket.write(TIMESTAMP, next_timestamp(far, keys, utc_now(), EXPIRIES).data)
    assert pi.update() == UpToDate(1)
    cloud.bucket.write(TIMESTAMP, before)
    assert_kept(pi, running, pi.update(), "version")

    rotate(cloud.bucket, every_key(cloud), cloud.online, utc_now())

    cloud.release(build(2))
    assert isinstance(pi.update(), Updated)
    assert pi.answers("neutrophil")


# Mix and match, wrong target


@pytest.mark.parametrize("role", [Snapshot.type, Targets.type, CHANNELS])
def test_metadata_of_two_times_are_not_taken_together(cloud: Cloud, pi: Pi, running: Active, role: str) -> None:
    old = cloud.bucket.read(newest(cloud, role))
    cloud.release(build(2))
    cloud.bucket.write(newest(cloud, role), old)
    assert_kept(pi, running, pi.update(), "expected")


def test_another_release_in_the_place_of_the_one_that_is_wanted_is_not_taken(
    cloud: Cloud, pi: Pi, running: Active
) -> None:
    bundle = build(2)
    cloud.release(bundle)
    cloud.bucket.write(cloud.object_of(bundle), pack(build(1)))
    assert_kept(pi, running, pi.update(), "release 2")


def test_a_bundle_that_approvers_signed_under_another_version_is_not_taken(
    cloud: Cloud, pi: Pi, running: Active
) -> None:
    approvers_sign(cloud, 2, pack(build(7)))
    assert_kept(pi, running, pi.update(), "its bundle says that it is release 7")


def test_anothers_channel_under_our_channels_name_is_not_followed(cloud: Cloud, pi: Pi, running: Active) -> None:
    make_visible(cloud, {channel_target("stable"): channel(cloud, "canary", 2)})
    assert_kept(pi, running, pi.update(), "its file is that of channel canary")


# Compromise of one online key


def thief_of_the_timestamp(cloud: Cloud) -> None:
    """Names a snapshot of his own, and one that was."""
    state = read_state(cloud.bucket)
    keys = load_online(cloud.online, state.root, state.targets.signed)
    stolen = load_key(cloud.online / "timestamp.pem")
    evil = sign(next_snapshot(state, keys, utc_now(), EXPIRIES).signed, [stolen])
    cloud.bucket.write(metadata_key(Snapshot.type, evil.signed.version), evil.data)
    cloud.bucket.write(TIMESTAMP, next_timestamp(replace(state, snapshot=evil), keys, utc_now(), EXPIRIES).data)


def thief_of_the_snapshot(cloud: Cloud) -> None:
    """Names the targets of his own; the timestamp goes on naming the good snapshot, whose place he takes."""
    state = read_state(cloud.bucket)
    keys = load_online(cloud.online, state.root, state.targets.signed)
    stolen = load_key(cloud.online / "snapshot.pem")
    targets = copy.deepcopy(state.targets.signed)
    targets.targets[model_target(2)] = TargetFile.from_data(model_target(2), b"evil")
    evil = next_snapshot(replace(state, targets=sign(targets, [stolen])), keys, utc_now(), EXPIRIES)
    cloud.bucket.write(metadata_key(Snapshot.type, state.snapshot.signed.version), evil.data)


def thief_of_the_channels(cloud: Cloud) -> None:
    """Names a release that nobody approved; snapshot and timestamp go on naming the good channels."""
    state = read_state(cloud.bucket)
    stolen = load_key(cloud.online / "channels.pem")
    channels = copy.deepcopy(state.channels.signed)
    data = encode(Channel("stable", 2))
    channels.targets[channel_target("stable")] = TargetFile.from_data(channel_target("stable"), data)
    evil = sign(channels, [stolen])
    cloud.bucket.write(metadata_key("channels", evil.signed.version), evil.data)


@pytest.mark.parametrize("thief", [thief_of_the_timestamp, thief_of_the_snapshot, thief_of_the_channels])
def test_who_holds_one_online_key_and_the_bucket_changes_nothing_on_a_device(
    cloud: Cloud, pi: Pi, running: Active, thief: Callable[[Cloud], None], tmp_path: Path
) -> None:
    refresh(cloud.bucket, cloud.online, utc_now())  # so that the device looks at all of it
    thief(cloud)
    for name in ("snapshot.json", "channels.json"):
        (pi.home.metadata / name).unlink(missing_ok=True)  # a device that has kept nothing believes no more
    assert_kept(pi, running, pi.update(), "")


def test_who_holds_the_timestamps_key_sends_devices_back_to_their_approvers_fallback_and_no_further(
    cloud: Cloud, pi: Pi, running: Active
) -> None:
    cloud.release(build(2, fallback=1))
    assert isinstance(pi.update(), Updated)

    halt(cloud.bucket, cloud.online, 2, utc_now())
    assert isinstance(pi.update(), Returned)
    before = pi.slots.active()
    assert before is not None
    assert before.version == 1
    for version in (1, 3):
        halt(cloud.bucket, cloud.online, version, utc_now())
    cloud.release(build(3))
    pi.update()
    assert_untouched(pi, before)  # what is halted is not taken, and a device that has nothing else goes on

    kept = rotate(cloud.bucket, people(cloud, "root"), cloud.online, utc_now(), ["timestamp"])
    for version in kept.halted:
        unhalt(cloud.bucket, cloud.online, version, utc_now())
    assert isinstance(pi.update(), Updated)
    active = pi.slots.active()
    assert active is not None
    assert active.version == 3
