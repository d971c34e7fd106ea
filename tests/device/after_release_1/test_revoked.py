"""What its approvers revoked leaves the devices that run it, and is taken by none, whatever the server says."""

from datetime import timedelta
from pathlib import Path

import pytest
from attack_bench import assert_kept, channel, make_visible
from device_bench import Cloud, Pi, build

from hemaloop.device.home import utc_now
from hemaloop.device.transport import open_transport
from hemaloop.device.updates.repository import SignedReleases
from hemaloop.device.updates.slots import Active
from hemaloop.device.updates.update import Avoided, Returned, Updated
from hemaloop.protocol.channel import Channel, channel_target
from hemaloop.release.approvals.revocation import revoke
from hemaloop.release.online import unhalt
from hemaloop.release.publish import publish, refresh

pytestmark = pytest.mark.slow


def take(cloud: Cloud, pi: Pi, fallback: int | None = None, probation: int = 0) -> Active:
    """Release 2 is approved, and the device runs it."""
    cloud.release(build(2, fallback))
    cloud.say(Channel("stable", 2, probation_images=probation))
    assert isinstance(pi.update(), Updated)
    active = pi.slots.active()
    assert active is not None
    return active


def approvers_revoke(cloud: Cloud, version: int) -> None:
    for person in ("ada", "chen"):
        key = cloud.offline / f"approver-{person}.pem"
        revoke(cloud.bucket, version, key, person, "misses blasts", utc_now())
    publish(cloud.bucket, cloud.online, "stable", utc_now())


def thief_brings_back(cloud: Cloud, version: int) -> None:
    """With every key of the server: no halt any more, and the channel names it."""
    unhalt(cloud.bucket, cloud.online, version, utc_now())
    make_visible(cloud, {channel_target("stable"): channel(cloud, "stable", version)})


def version(pi: Pi) -> int:
    return pi.slots.model().version


def test_a_device_leaves_a_revoked_version_for_its_fallback_and_takes_it_never_again(cloud: Cloud, pi: Pi) -> None:
    take(cloud, pi, fallback=1)
    approvers_revoke(cloud, 2)

    assert pi.update() == Returned(1, "release 2 is revoked")
    assert (version(pi), pi.answers("monocyte")) == (1, True)
    assert pi.probation == "returned: release 2: release 2 is revoked"

    back = pi.slots.active()
    assert back is not None
    thief_brings_back(cloud, 2)
    assert_kept(pi, back, pi.update(), "names release 2, which its approvers revoked")


def test_a_thief_of_the_servers_keys_cannot_keep_a_device_on_a_revoked_version(cloud: Cloud, pi: Pi) -> None:
    take(cloud, pi, fallback=1)
    approvers_revoke(cloud, 2)
    thief_brings_back(cloud, 2)
    assert pi.update() == Returned(1, "release 2 is revoked")
    assert (version(pi), pi.answers("neutrophil")) == (1, True)


def test_a_revoked_version_on_probation_gives_way_to_the_one_before_though_it_names_no_fallback(
    cloud: Cloud, pi: Pi
) -> None:
    take(cloud, pi, probation=3)
    approvers_revoke(cloud, 2)
    assert pi.update() == Returned(1, "release 2 is revoked")
    assert version(pi) == 1


def test_a_device_that_may_go_nowhere_goes_on_with_what_was_revoked_says_so_and_takes_the_next(
    cloud: Cloud, pi: Pi
) -> None:
    running = take(cloud, pi)
    approvers_revoke(cloud, 2)

    outcome = pi.update()
    assert outcome == Avoided(2, "release 2 is revoked, and goes on, for channel stable names no other")
    assert pi.slots.active() == running
    assert pi.look("monocyte") == [True]

    cloud.release(build(3))
    assert isinstance(pi.update(), Updated)
    assert version(pi) == 3


def test_a_revoked_version_does_not_answer_beside_another_whatever_the_channel_says(cloud: Cloud, pi: Pi) -> None:
    cloud.release(build(2))
    cloud.say(Channel("stable", 1, shadow=2))
    pi.update()
    idle = pi.slots.idle()
    assert idle is not None
    assert idle[0].shadow

    approvers_revoke(cloud, 2)
    unhalt(cloud.bucket, cloud.online, 2, utc_now())
    cloud.say(Channel("stable", 1, shadow=2))
    pi.update()

    idle = pi.slots.idle()
    assert idle is not None
    assert not idle[0].shadow
    assert version(pi) == 1


def test_a_revocation_that_a_device_has_seen_counts_though_all_metadata_has_expired(
    cloud: Cloud, pi: Pi, tmp_path: Path
) -> None:
    cloud.release(build(2))
    approvers_revoke(cloud, 2)
    releases = SignedReleases(pi.home, open_transport(pi.settings.bucket))
    assert (releases.halted(), releases.revoked()) == ({2}, {2})

    unhalt(cloud.bucket, cloud.online, 2, utc_now())
    refresh(cloud.bucket, cloud.online, utc_now() - timedelta(days=30))
    assert SignedReleases(pi.home, open_transport(pi.settings.bucket)).revoked() == {2}
    (tmp_path / "bucket").rename(tmp_path / "away")
    assert SignedReleases(pi.home, open_transport(pi.settings.bucket)).revoked() == {2}
