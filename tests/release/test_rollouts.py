"""Rollouts on a real repository: what people and the rule decide, devices see; and the record survives kills."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from release_site import CutError, DyingBucket, Site, bundle, now
from rollouts import PARAMS, good_evidence

from hemaloop.errors import ConfigError, GateRefused
from hemaloop.protocol.channel import Channel, channel_target, wanted_version
from hemaloop.protocol.documents import decode
from hemaloop.protocol.halts import halted_versions
from hemaloop.release import audit
from hemaloop.release.auditing import verify_log
from hemaloop.release.metadata import read_root, read_timestamp
from hemaloop.release.publish import move_channel, publish
from hemaloop.release.rollout.bounds import Share
from hemaloop.release.rollout.parameters import Phase
from hemaloop.release.rollout.rule import Action, Evidence, Mode
from hemaloop.release.rollout.running import Rollouts
from hemaloop.storage import Bucket

QUICK = replace(
    PARAMS, phases=(Phase(25.0, 1, 10, 0.0), Phase(100.0, 1, 10, 0.0)), good_looks=1, bad_looks=1, silent_hours=1.0
)
FLEET = tuple(f"pi-{number}" for number in range(8))
BAD = Evidence(heard=1, failed=Share(9, 10))


@pytest.fixture
def moving(folder_site: Site) -> Rollouts:
    """Version 1 on the channel; version 2, which may go back to it, and version 3, which may not, released."""
    site = folder_site
    for version, fallback in ((1, None), (2, 1), (3, None)):
        site.approve(version, ["anna", "bob"], bundle(version, fallback))
        publish(site.bucket, site.online, "stable" if version == 1 else "elsewhere", now())
    return Rollouts(site.bucket, site.online, "stable", QUICK)


def channel(site: Site, name: str = "stable") -> Channel:
    """As a device sees it."""
    data = site.device("watching").read(channel_target(name))
    assert data is not None
    return decode(data, Channel)


def halted(bucket: Bucket) -> frozenset[int]:
    return halted_versions(read_timestamp(bucket, read_root(bucket)).signed.unrecognized_fields)


def look(moving: Rollouts, evidence: Evidence) -> Action:
    state = moving.read(now()).state
    assert state is not None
    decision = moving.look(state, evidence, now())
    assert decision is not None
    return decision.action


def with_version(found: Channel, version: int) -> set[str]:
    return {device for device in FLEET if wanted_version(found, device) == version}


def test_reports_bring_a_version_to_some_devices_then_to_all(folder_site: Site, moving: Rollouts) -> None:
    assert with_version(channel(folder_site), 2) == set()
    moving.start(2, FLEET, "anna", "looked at it", now())
    first = with_version(channel(folder_site), 2)
    assert set() < first < set(FLEET)
    assert channel(folder_site).shadow == 2

    assert look(moving, good_evidence(1, 5)) is Action.HOLD
    assert with_version(channel(folder_site), 2) == first
    assert look(moving, good_evidence(2, 10)) is Action.ADVANCE
    assert with_version(channel(folder_site), 2) == set(FLEET)
    assert channel(folder_site).version == 1
    assert look(moving, good_evidence(3, 30)) is Action.FINISH

    assert channel(folder_site) == Channel("stable", 2)
    told = [(step.action, step.by, step.percent) for step in moving.read(now()).steps]
    assert told == [("start", "anna", 25.0), ("advance", "server", 100.0), ("finish", "server", 100.0)]
    logged = [stored for stored in audit.read_log(folder_site.bucket) if b'"rollout"' in stored.data]
    assert len(logged) == 3


@pytest.mark.parametrize("dies_at", [2, 4, 7])
def test_a_release_waits_for_its_rollout_even_if_its_publisher_was_killed(
    folder_site: Site, moving: Rollouts, dies_at: int
) -> None:
    site = folder_site
    site.approve(4, ["anna", "bob"], bundle(4, 1))
    with pytest.raises(CutError):
        publish(DyingBucket(site.bucket, dies_at, True), site.online, "stable", now(), staged=True)
    moving.begin(FLEET, now())
    assert channel(site).version == 1
    published = publish(site.bucket, site.online, "stable", now(), staged=True)
    assert (published.version, published.waiting) in ((1, 4), (1, None))

    begun = moving.begin(FLEET, now())
    assert begun.waiting is None
    assert [(step.version, step.action, step.by) for step in begun.steps] == [(4, "start", "server")]
    assert set() < with_version(channel(site), 4) < set(FLEET)
    with pytest.raises(GateRefused, match="a rollout is on its way"):
        move_channel(site.bucket, site.online, "stable", 4, now())


def test_a_newer_release_waits_until_the_rollout_before_it_is_over(folder_site: Site, moving: Rollouts) -> None:
    moving.start(2, FLEET, "anna", "on", now())
    folder_site.approve(4, ["anna", "bob"], bundle(4, 1))
    publish(folder_site.bucket, folder_site.online, "stable", now(), staged=True)
    assert moving.begin(FLEET, now()).waiting == 4
    assert look(moving, BAD) is Action.TURN_BACK
    begun = moving.begin(FLEET, now()).state
    assert begun is not None
    assert (begun.version, begun.before, begun.mode) == (4, 1, Mode.RUNNING)
    assert halted(folder_site.bucket) == {2}


def test_what_fails_is_turned_back_and_halted_everywhere(folder_site: Site, moving: Rollouts) -> None:
    moving.start(2, FLEET, "anna", "looked at it", now())
    assert look(moving, BAD) is Action.TURN_BACK
    assert channel(folder_site) == Channel("stable", 1)
    assert halted(folder_site.bucket) == {2}
    assert "self-test or probation failed 90.0% of 10" in moving.read(now()).steps[-1].reason
    assert look(moving, good_evidence(9, 999)) is Action.HOLD


def test_without_a_way_back_a_halt_waits_for_a_person(folder_site: Site, moving: Rollouts) -> None:
    moving.start(3, FLEET, "anna", "looked at it", now())
    assert look(moving, BAD) is Action.HALT
    assert halted(folder_site.bucket) == {3}
    assert channel(folder_site).shadow is None
    assert look(moving, good_evidence(9, 999)) is Action.HOLD

    resumed = moving.resume("bob", "the stain was to blame", now())
    assert resumed.state is not None
    assert (resumed.state.mode, resumed.state.percent) == (Mode.RUNNING, 25.0)
    assert halted(folder_site.bucket) == set()
    assert look(moving, good_evidence(1, 10)) is Action.ADVANCE


def test_a_person_s_pause_holds_what_is_good_and_not_what_is_bad(folder_site: Site, moving: Rollouts) -> None:
    moving.start(2, FLEET, "anna", "looked at it", now())
    moving.pause("bob", "week-end", now())
    assert look(moving, good_evidence(1, 100)) is Action.HOLD
    moving.resume("bob", "monday", now())
    assert look(moving, good_evidence(2, 100)) is Action.ADVANCE
    moving.pause("bob", "week-end", now())
    assert look(moving, replace(BAD, heard=3)) is Action.TURN_BACK


def test_people_give_a_reason_and_act_on_what_is_there(moving: Rollouts) -> None:
    for act in (moving.pause, moving.resume, moving.halt, moving.turn_back):
        with pytest.raises(GateRefused, match="but there is none"):
            act("anna", "because", now())
    with pytest.raises(ConfigError, match="a person and a reason"):
        moving.start(2, FLEET, "anna", " ", now())
    with pytest.raises(GateRefused, match="not newer than 1"):
        moving.start(1, FLEET, "anna", "back", now())
    with pytest.raises(GateRefused, match="version 7 is not released"):
        moving.start(7, FLEET, "anna", "on", now())
    moving.start(2, FLEET, "anna", "on", now())
    with pytest.raises(GateRefused, match="version 2 is on its way"):
        moving.start(3, FLEET, "anna", "on", now())


def test_whoever_begins_a_channel_is_in_the_audit_log_with_the_reason(folder_site: Site, moving: Rollouts) -> None:
    canary = replace(moving, channel="canary")
    with pytest.raises(ConfigError, match="a person and a reason"):
        canary.open(2, "", "our own laboratory", now())
    with pytest.raises(GateRefused, match="9"):
        canary.open(9, "anna", "our own laboratory", now())
    canary.open(2, "anna", "our own laboratory", now())

    entry = verify_log(folder_site.bucket).entries[-1].entry
    assert (entry.event, entry.subject, entry.by) == ("channel", "channel canary", "anna")
    assert entry.reason == "to version 2: our own laboratory"
    assert channel(folder_site, "canary").version == 2
    with pytest.raises(GateRefused, match="is not new, it names version 2"):
        canary.open(3, "anna", "our own laboratory", now())


def test_a_pinned_device_stays_where_it_is_pinned(folder_site: Site, moving: Rollouts) -> None:
    moving.pin("pi-0", 1, "anna", "a study runs on it", now())
    moving.start(2, FLEET, "anna", "on", now())
    look(moving, good_evidence(1, 10))
    assert with_version(channel(folder_site), 2) == set(FLEET) - {"pi-0"}
    look(moving, good_evidence(2, 100))
    assert channel(folder_site).pins == {"pi-0": 1}
    moving.pin("pi-0", None, "anna", "the study is over", now())
    assert with_version(channel(folder_site), 2) == set(FLEET)
    with pytest.raises(GateRefused, match="not released"):
        moving.pin("pi-0", 9, "anna", "try", now())


def test_a_version_halted_by_other_means_halts_its_rollout(folder_site: Site, moving: Rollouts) -> None:
    from hemaloop.release.online import halt

    moving.start(2, FLEET, "anna", "on", now())
    halt(folder_site.bucket, folder_site.online, 2, now())
    assert look(moving, good_evidence(1, 100)) is Action.HALT
    assert halted(folder_site.bucket) == {2}


def test_evidence_of_a_rollout_that_a_person_has_moved_decides_nothing(moving: Rollouts) -> None:
    state = moving.start(2, FLEET, "anna", "on", now()).state
    assert state is not None
    moving.pause("bob", "wait", now())
    assert moving.look(state, BAD, now()) is None
    assert [step.action for step in moving.read(now()).steps] == ["start", "pause"]


def test_whoever_may_only_write_to_the_bucket_cannot_hurry_a_rollout(folder_site: Site, moving: Rollouts) -> None:
    moving.start(2, FLEET, "anna", "on", now())
    key = "rollouts/stable.json"
    forged = folder_site.bucket.read(key).replace(b'"percent":25.0', b'"percent":100.0')
    folder_site.bucket.write(key, forged)
    later = now() + timedelta(hours=1)
    found = moving.read(later).state
    assert found is not None
    assert (found.version, found.percent, found.since) == (2, 25.0, later)
    moving.begin(FLEET, now())
    assert look(moving, Evidence(heard=1)) is Action.HOLD
    assert with_version(channel(folder_site), 2) < set(FLEET)


@pytest.mark.parametrize(
    ("act", "version", "stopped", "done"),
    [
        (lambda moving: look(moving, good_evidence(1, 10)), 2, False, False),
        (lambda moving: look(moving, BAD), 1, True, True),
        (lambda moving: moving.halt("bob", "no", now()), 1, True, False),
    ],
)
def test_killed_at_any_write_a_rollout_goes_on(
    folder_site: Site, moving: Rollouts, act: Callable[[Rollouts], object], version: int, stopped: bool, done: bool
) -> None:
    kills = 0
    for dies_at in range(1, 30):
        moving.start(2, FLEET, "anna", "on", now())
        dying = DyingBucket(folder_site.bucket, dies_at, done)
        try:
            act(replace(moving, bucket=dying))
        except CutError:
            kills += 1
        found = moving.begin(FLEET, now())
        assert found.settled
        if found.state is not None and found.state.percent == 25.0 and found.state.mode == Mode.RUNNING:
            act(moving)  # it died before anything was decided: the next look decides the same
        assert {wanted_version(channel(folder_site), device) for device in FLEET} == {version}
        assert halted(folder_site.bucket) == ({2} if stopped else set())
        if kills < dies_at:
            break
        if moving.read(now()).state.mode in (Mode.RUNNING, Mode.PAUSED):  # type: ignore[union-attr]
            moving.turn_back("anna", "again", now())
    # The audit log, the course, the channel's file, three of metadata, the halt if any, the course again.
    assert kills == (8 if stopped else 7)
