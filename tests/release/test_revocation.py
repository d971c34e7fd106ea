"""What approvers revoke is gone for good, and nothing names it; their signatures do it, and theirs alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from release_site import CutError, DyingBucket, Site, bundle, now

from hemaloop.errors import ConfigError, GateRefused, UntrustedError
from hemaloop.protocol.channel import Channel, Rollout
from hemaloop.protocol.halts import halted_versions
from hemaloop.release.approvals.acts import revoked
from hemaloop.release.approvals.approval import Approvals, pending
from hemaloop.release.approvals.records import read_revocation
from hemaloop.release.approvals.revocation import revoke, without
from hemaloop.release.channels import released
from hemaloop.release.metadata import read_state
from hemaloop.release.publish import move_channel, publish
from hemaloop.release.status import signed, status

VERSIONS = st.integers(1, 6)
CHANNELS = st.builds(
    Channel,
    st.just("stable"),
    VERSIONS,
    st.none() | st.builds(Rollout, VERSIONS, st.floats(0, 100)),
    st.none() | VERSIONS,
    st.just(20),
    st.dictionaries(st.sampled_from(["pi-1", "pi-2", "pi-3"]), VERSIONS),
)


@pytest.fixture
def released_site(folder_site: Site) -> Site:
    """Versions 1, 2 and 3, which may go back to 2; stable names 3."""
    for version, fallback in ((1, None), (2, None), (3, 2)):
        folder_site.approve(version, ["anna", "bob"], bundle(version, fallback))
        publish(folder_site.bucket, folder_site.online, "stable", now())
    return folder_site


def revoke_by(site: Site, version: int, *people: str) -> Approvals:
    for person in people:
        found = revoke(site.bucket, version, site.approver(person), person, "misses blasts", now())
    return found


def test_a_revoked_version_is_gone_for_devices_that_had_seen_it_and_for_new_ones(released_site: Site) -> None:
    site, old = released_site, released_site.device("old")
    assert (old.channel(), old.model(3)) == (3, bundle(3, 2))

    assert revoke_by(site, 3, "anna").missing == 1
    with pytest.raises(GateRefused, match=r"version 3: 1 of 2 approvals .*hemaloop approve --revoke 3"):
        publish(site.bucket, site.online, "stable", now())
    assert old.model(3) == bundle(3, 2)
    assert revoke_by(site, 3, "chloe").missing == 0
    publish(site.bucket, site.online, "stable", now())

    for device in (old, site.device("new")):
        assert (device.channel(), device.model(3), device.model(2)) == (2, None, bundle(2))
    state = read_state(site.bucket)
    assert halted_versions(state.timestamp.signed.unrecognized_fields) == {3}
    assert (sorted(released(state.targets.signed)), revoked(state.targets.signed)) == ([1, 2], {3})
    assert pending(site.bucket, now()) is None
    record = read_revocation(site.bucket, 3)
    assert record is not None
    assert record.people == ("anna", "chloe")


def test_what_is_revoked_never_comes_back(released_site: Site) -> None:
    site = released_site
    revoke_by(site, 3, "anna", "chloe")
    publish(site.bucket, site.online, "stable", now())

    with pytest.raises(GateRefused, match="3 is not newer than 3"):
        site.approve(3, ["anna"], bundle(3, 2))
    with pytest.raises(GateRefused, match="names 3 to fall back to, which is not released"):
        site.approve(4, ["anna"], bundle(4, 3))
    with pytest.raises(GateRefused, match="3 is not released"):
        move_channel(site.bucket, site.online, "stable", 3, now())
    with pytest.raises(GateRefused, match="3 is revoked already"):
        revoke_by(site, 3, "bob")
    with pytest.raises(GateRefused, match="9 is not released"):
        revoke_by(site, 9, "bob")
    with pytest.raises(ConfigError, match="a person and a reason"):
        revoke(site.bucket, 2, site.approver("bob"), "bob", " ", now())
    with pytest.raises(UntrustedError, match="does not count"):
        revoke(site.bucket, 2, site.online / "channels.pem", "server", "because", now())
    site.approve(4, ["anna", "bob"], bundle(4, 2))
    assert publish(site.bucket, site.online, "stable", now()).version == 4


def test_a_channel_with_nothing_to_go_back_to_is_empty_and_takes_the_next_version(folder_site: Site) -> None:
    site, device = folder_site, folder_site.device()
    site.approve(1, ["anna", "bob"])
    publish(site.bucket, site.online, "stable", now())
    revoke_by(site, 1, "anna", "bob")
    assert publish(site.bucket, site.online, "stable", now()).version == 0

    assert (device.channel(), device.model(1)) == (None, None)
    site.approve(2, ["anna", "bob"])
    assert publish(site.bucket, site.online, "stable", now()).version == 2
    assert device.channel() == 2


def test_a_revocation_killed_at_any_write_is_published_when_it_is_run_again(folder_site: Site) -> None:
    site, device = folder_site, folder_site.device()
    site.approve(1, ["anna", "bob"])
    publish(site.bucket, site.online, "stable", now())
    for write in range(1, 30):
        site.approve(write + 1, ["anna", "bob"], bundle(write + 1, 1))
        publish(site.bucket, site.online, "stable", now())
        revoke_by(site, write + 1, "bob", "chloe")
        try:
            publish(DyingBucket(site.bucket, write, done=False), site.online, "stable", now())
            break
        except CutError:
            assert device.channel() in (1, write + 1)
        assert publish(site.bucket, site.online, "stable", now()).version == 1
        assert (device.channel(), device.model(write + 1)) == (1, None)
        assert read_revocation(site.bucket, write + 1) is not None
    assert write - 1 == 10  # channel, entry, four metadata files, record, and three objects cleared away


@given(CHANNELS, VERSIONS, st.none() | VERSIONS)
def test_no_channel_names_what_is_revoked_and_the_rest_stays(
    channel: Channel, version: int, instead: int | None
) -> None:
    after = without(channel, version, None if instead == version else instead)

    if after is None:
        assert channel.version == version
        return
    named = {after.version, after.shadow, *after.pins.values(), after.rollout.version if after.rollout else None}
    assert version not in named
    if version not in (channel.version, channel.shadow, channel.rollout and channel.rollout.version):
        assert after == Channel(**{**vars(channel), "pins": after.pins})
    assert after.pins.items() <= channel.pins.items()


def test_a_second_act_waits_for_the_first(released_site: Site) -> None:
    site = released_site
    site.approve(4, ["anna"], bundle(4))
    with pytest.raises(
        GateRefused, match=r"version 4 waits for approval, signed by anna: .* before you revoke version 3"
    ):
        revoke_by(site, 3, "bob")
    assert pending(site.bucket, now()).people == ("anna",)  # type: ignore[union-attr]
    site.approve(4, ["bob"], bundle(4))
    publish(site.bucket, site.online, "stable", now())

    revoke_by(site, 3, "bob")
    with pytest.raises(
        GateRefused, match=r"version 3 waits to be revoked, signed by bob: .* before you approve version 5"
    ):
        site.approve(5, ["anna"], bundle(5))


def test_status_says_of_each_version_the_last_that_was_signed(released_site: Site) -> None:
    site = released_site
    revoke_by(site, 3, "anna", "chloe")
    publish(site.bucket, site.online, "stable", now())
    revoke_by(site, 2, "bob")

    assert [(each.version, each.standing, each.people) for each in signed(status(site.bucket, now()))] == [
        (1, "released", ("anna", "bob")),
        (2, "to be revoked", ("bob",)),
        (3, "revoked", ("anna", "chloe")),
    ]
