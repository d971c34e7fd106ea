"""From reports to evidence: what counts for a version, and how much."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rollouts import PARAMS, START, state

from hemaloop.protocol.channel import place
from hemaloop.protocol.report import RefusedUpdate, Report, ShadowRun
from hemaloop.protocol.said import Said
from hemaloop.release.rollout.bounds import Share
from hemaloop.release.rollout.evidence import choose_salt, hear, weigh
from hemaloop.release.rollout.rule import Evidence

HOUR = timedelta(hours=1)
ALL = replace(state(), percent=100.0)


def report(device: str = "pi", hours: float = 1, version: int = 2, **said: Any) -> Report:
    said.setdefault("self_test", "passed")
    return Report(device, START + hours * HOUR, "1", version, channel="stable", **said)


def evidence(reports: Iterable[Report], hours: float = 2, pins: Iterable[str] = ()) -> Evidence:
    said: dict[bool, list[Said]] = {False: [], True: []}
    for each in reports:
        said[each.at >= ALL.counted_from].append(Said.of(each))
    return weigh(hear(said[False], said[True], ALL), ALL, PARAMS, START + hours * HOUR, list(pins))


def test_no_device_speaks_for_more_than_its_share_of_images() -> None:
    loud = report("loud", failures=5000, classified={"neutrophil": 5000})
    others = [report(f"pi-{number}", classified={"neutrophil": 100}) for number in range(9)]
    found = evidence([loud, *others])
    assert found.errors == Share(50.0, 1000.0)
    assert sum(found.labels.values()) == pytest.approx(1000)
    assert found.images == 5900


def test_latency_and_labels_are_compared_with_the_same_device_before() -> None:
    slow_always = [report("old-pi", -1, 1, latency_ms=900.0, classified={"basophil": 10}),
                   report("old-pi", 1, 2, latency_ms=950.0, classified={"basophil": 7})]  # fmt: skip
    slower_now = [report("pi", -1, 1, latency_ms=100.0), report("pi", 1, 2, latency_ms=200.0, classified={"a": 1})]
    new = [report("new", 1, 2, latency_ms=700.0, classified={"a": 1})]
    found = evidence([*slow_always, *slower_now, *new, report("other", -1, 1, classified={"monocyte": 50})])
    assert found.slow == Share(1, 2)
    assert found.labels_before == {"basophil": 10.0}


@pytest.mark.parametrize(
    ("said", "failed"),
    [
        ({"self_test": "failed: release 2: other answers"}, True),
        ({"self_test": "failed: release 1: other answers"}, False),
        ({"probation": "returned: release 2: 5 of 20 images failed"}, True),
        ({"probation": "returned: release 2: release 2 is halted"}, False),
        ({"probation": "returned: release 2: release 3 is wanted"}, False),
        ({"probation": "failed: no answers", "version": 2}, True),
        ({"refused_updates": (RefusedUpdate(START, 2, "release 2 failed its self-test: late"),)}, True),
        ({"refused_updates": (RefusedUpdate(START, 2, "release 2: hash is wrong"),)}, False),
    ],
)
def test_what_a_device_tells_of_a_failure_counts_for_the_version_that_failed(
    said: dict[str, Any], failed: bool
) -> None:
    found = evidence([report(**{"version": 1, **said}), report("other", version=2)])
    assert found.failed.count == failed


def test_reports_from_before_the_rollout_and_of_pinned_devices_count_for_nothing() -> None:
    early = report("pi", -1, 2, failures=9, self_test="failed: release 2: late")
    found = evidence([early, report("pinned", failures=9)], pins=["pinned"])
    assert found == Evidence(heard=0, placed=1)


def test_shadow_runs_tell_of_disagreement_and_of_errors() -> None:
    found = evidence([report(version=1, classified={"a": 50}, shadow=ShadowRun(2, 50, 30, 10))])
    assert (found.disagreed, found.errors, found.devices) == (Share(10, 40), Share(10, 50), 0)
    assert evidence([report(version=1, shadow=ShadowRun(3, 50, 0))]).disagreed == Share()


def test_a_device_is_silent_once_it_was_there_and_has_not_reported_for_a_day() -> None:
    there = [report("a", -1, 1), report("a", 1), report("b", -1, 1), report("b", 29)]
    gone_before = [report("c", -60, 1)]
    assert evidence([*there, *gone_before], hours=20).silent == Share()
    assert evidence([*there, *gone_before], hours=30).silent == Share(1, 2)


@given(st.integers(2, 60), st.sampled_from([1.0, 5.0, 25.0, 50.0]), st.integers(1, 5), st.integers(1, 30))
def test_the_first_phase_reaches_some_devices_and_never_all(
    size: int, percent: float, wanted: int, version: int
) -> None:
    devices = [f"pi-{number}" for number in range(size)]
    salt = choose_salt(version, devices, percent, wanted)
    assert 1 <= sum(place(device, salt) < percent for device in devices) < size
