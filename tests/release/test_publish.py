"""From approvals to what a device sees."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from release_site import CutError, DyingBucket, Site, bundle, now
from tuf.api.exceptions import ExpiredMetadataError

from hemaloop.errors import GateRefused, UntrustedError
from hemaloop.release.approvals.pending import PENDING
from hemaloop.release.channels import may_move
from hemaloop.release.parameters import Expiries
from hemaloop.release.publish import move_channel, publish, refresh, status
from hemaloop.release.status import warnings

VERSIONS = st.integers(1, 50)


def test_two_of_three_approvals_bring_a_model_to_a_device(site: Site) -> None:
    site.approve(1, ["anna", "chloe"])

    published = publish(site.bucket, site.online, "stable", now())

    assert (published.version, published.approved_by) == (1, ("anna", "chloe"))
    device = site.device()
    assert device.channel() == 1
    assert device.model(1) == bundle(1)
    found = status(site.bucket, now())
    assert found.channels == {"stable": 1}
    assert found.pending is None
    assert [(a.statement.person, a.statement.reason) for a in found.releases[0].approvals] == [
        ("anna", "looks good"),
        ("chloe", "looks good"),
    ]
    assert not list(site.bucket.list(PENDING))


def test_one_approval_too_few_publishes_nothing(site: Site) -> None:
    site.approve(1, ["bob"])
    before = [(o.key, o.etag) for o in site.bucket.list("releases/")]

    with pytest.raises(GateRefused, match=r"1 of 2 approvals \(bob\); 1 missing"):
        publish(site.bucket, site.online, "stable", now())

    assert [(o.key, o.etag) for o in site.bucket.list("releases/")] == before
    assert site.device().model(1) is None


def test_publishing_again_changes_nothing(folder_site: Site) -> None:
    site = folder_site
    site.approve(1, ["anna", "bob"])
    first = publish(site.bucket, site.online, "stable", now())
    before = [(o.key, o.etag) for o in site.bucket.list("releases/")]

    assert publish(site.bucket, site.online, "stable", now()) == first
    assert [(o.key, o.etag) for o in site.bucket.list("releases/")] == before


@pytest.mark.parametrize("done", [False, True])
def test_publishing_killed_at_any_write_is_old_or_new_and_finishes_when_run_again(
    folder_site: Site, done: bool
) -> None:
    site = folder_site
    site.approve(1, ["anna", "bob"])
    publish(site.bucket, site.online, "stable", now())
    watching = site.device("watching")
    assert watching.channel() == 1
    kills = 0
    for version in range(2, 40):
        site.approve(version, ["anna", "chloe"])
        dying = DyingBucket(site.bucket, version - 1, done)
        try:
            publish(dying, site.online, "stable", now())
            break
        except CutError:
            kills += 1
        for device in (watching, site.device(f"fresh-{version}")):
            seen = device.channel()
            assert seen in (version - 1, version)
            assert device.model(seen) == bundle(seen)

        assert publish(site.bucket, site.online, "stable", now()).version == version

        assert watching.channel() == version
        assert watching.model(version) == bundle(version)
        assert [a.statement.person for a in status(site.bucket, now()).releases[-1].approvals] == ["anna", "chloe"]
        assert not list(site.bucket.list(PENDING))
    assert (
        kills == 12
    )  # bundle, channel, entry in the audit log, four metadata files, record, and four objects cleared away


@given(VERSIONS, VERSIONS, st.none() | VERSIONS)
def test_a_channel_moves_back_to_the_fallback_alone(current: int, wanted: int, fallback: int | None) -> None:
    assert may_move(current, wanted, fallback) == (not wanted < current or wanted == fallback)


@given(st.lists(VERSIONS, min_size=1))
def test_without_a_fallback_a_channel_only_goes_forwards(wishes: list[int]) -> None:
    current: int | None = None
    for count, wanted in enumerate(wishes, 1):
        current = wanted if may_move(current, wanted, None) else current
        assert current == max(wishes[:count])


def test_a_channel_goes_back_to_the_fallback_that_was_signed_and_forwards_again(site: Site) -> None:
    for version, fallback in ((1, None), (2, None), (3, 2)):
        site.approve(version, ["anna", "bob"], bundle(version, fallback))
        publish(site.bucket, site.online, "stable", now())
    device = site.device()
    assert device.channel() == 3

    with pytest.raises(GateRefused, match="back to 2; not to 1"):
        move_channel(site.bucket, site.online, "stable", 1, now())
    assert device.channel() == 3

    move_channel(site.bucket, site.online, "stable", 2, now())
    assert device.channel() == 2
    # Nothing new to publish: the channel stays where it was turned back to.
    assert publish(site.bucket, site.online, "stable", now()).version == 2
    with pytest.raises(GateRefused, match="names no fallback"):
        move_channel(site.bucket, site.online, "stable", 1, now())
    with pytest.raises(GateRefused, match="4 is not released"):
        move_channel(site.bucket, site.online, "stable", 4, now())
    move_channel(site.bucket, site.online, "stable", 3, now())
    assert device.channel() == 3


def test_a_bundle_swapped_while_it_waited_is_not_published(folder_site: Site) -> None:
    site = folder_site
    site.approve(1, ["anna", "bob"])
    (waiting,) = [o.key for o in site.bucket.list(PENDING) if o.key.endswith("bundle.zip")]
    site.bucket.write(waiting, bundle(1, model=b"another model"))

    with pytest.raises(UntrustedError, match="is not the one that was approved"):
        publish(site.bucket, site.online, "stable", now())
    assert site.device().model(1) is None

    site.approve(1, ["chloe"])
    publish(site.bucket, site.online, "stable", now())
    assert site.device().model(1) == bundle(1)


def test_refresh_keeps_devices_updating_after_everything_online_expired(folder_site: Site) -> None:
    site = folder_site
    long_ago = now() - timedelta(days=30)
    refresh(site.bucket, site.online, long_ago)  # leaves what an outage of a month leaves
    device = site.device()
    with pytest.raises(ExpiredMetadataError):
        device.channel()

    first = refresh(site.bucket, site.online, now())
    assert device.channel() is None
    second = refresh(site.bucket, site.online, now())

    assert second.timestamp == first.timestamp + 1
    assert (second.snapshot, second.channels) == (first.snapshot, first.channels)
    ageing = refresh(site.bucket, site.online, now() + timedelta(days=4))
    assert (ageing.snapshot, ageing.channels) == (first.snapshot + 1, first.channels + 1)


def test_people_are_called_thirty_days_before_root_or_targets_expire(folder_site: Site) -> None:
    bucket = folder_site.bucket
    refresh(bucket, folder_site.online, now())
    assert warnings(status(bucket, now())) == []
    later = now() + timedelta(days=336)
    assert [line.split(" expire")[0] for line in warnings(status(bucket, later))] == [
        "root 1",
        "targets 1",
        "snapshot 1",
        "timestamp 2",
        "channels 1",
    ]
    assert warnings(status(bucket, later), Expiries(warn=20))[0].startswith("snapshot")
