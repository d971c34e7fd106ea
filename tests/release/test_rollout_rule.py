"""The rule of a rollout: what no evidence whatever may bring about."""

from collections.abc import Mapping
from dataclasses import fields, replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rollouts import LIMITS, PARAMS, START, good_evidence, state
from scipy.stats import binomtest

from hemaloop.release.rollout.bounds import Share, distance, sure_distance, surely_more, wilson
from hemaloop.release.rollout.parameters import Phase, RolloutParams
from hemaloop.release.rollout.rule import (
    LIVE,
    Action,
    Evidence,
    Mode,
    State,
    decide,
    follow,
    judge,
    next_phase,
    resume,
    this_phase,
)

LABELS = ("basophil", "eosinophil", "neutrophil")


@st.composite
def shares(draw: st.DrawFn, of: int = 500) -> Share:
    total = draw(st.integers(0, of))
    return Share(draw(st.integers(0, total)), total)


def labels() -> st.SearchStrategy[Mapping[str, float]]:
    return st.dictionaries(st.sampled_from(LABELS), st.integers(0, 300).map(float))


EVIDENCE = st.builds(
    Evidence,
    heard=st.integers(0, 1000), placed=st.integers(0, 50), devices=st.integers(0, 50), images=st.integers(0, 5000),
    failed=shares(), errors=shares(), errors_before=shares(), slow=shares(), labels=labels(), labels_before=labels(),
    disagreed=shares(), silent=shares(), silent_others=shares(),
)  # fmt: skip
STATES = st.builds(
    State,
    channel=st.just("stable"), version=st.just(2), before=st.just(1), salt=st.just(""),
    percent=st.sampled_from([phase.percent for phase in PARAMS.phases]), since=st.just(START),
    counted_from=st.just(START), returnable=st.booleans(), mode=st.sampled_from([mode.value for mode in Mode]),
    images_before=st.integers(0, 1000), heard=st.integers(0, 100), good=st.integers(0, 5), bad=st.integers(0, 3),
)  # fmt: skip
TIMES = st.integers(0, 200).map(lambda hours: START + timedelta(hours=hours))
COUNTED = ("failed", "errors", "slow", "disagreed", "silent")


def with_share(evidence: Evidence, measure: str, share: Share) -> Evidence:
    changes: dict[str, Any] = {measure: share}
    return replace(evidence, **changes)


@given(shares(), st.sampled_from([0.8, 0.95, 0.99]))
def test_bounds_of_a_share_are_wilson_s(share: Share, confidence: float) -> None:
    low, high = wilson(share, confidence)
    if share.of:
        two_sided = 2 * confidence - 1
        wanted = binomtest(int(share.count), int(share.of)).proportion_ci(two_sided, "wilson")
        assert (low, high) == pytest.approx((wanted.low, wanted.high), abs=1e-9)
    else:
        assert (low, high) == (0, 1)


@given(shares(), shares())
def test_a_surer_difference_is_never_more_than_was_counted(share: Share, than: Share) -> None:
    assert surely_more(share, than, 0.99) <= share.value - than.value + 1e-9


@given(labels(), labels())
def test_a_sure_distance_is_never_more_than_was_counted(now: Mapping[str, float], before: Mapping[str, float]) -> None:
    assert sure_distance(now, before, 0.99) <= distance(now, before) <= 1


@given(st.lists(st.tuples(EVIDENCE, st.integers(0, 60)), max_size=30))
def test_phases_are_taken_one_by_one_and_each_with_its_minimum(looks: list[tuple[Evidence, int]]) -> None:
    found, now = state(), START
    percents = [found.percent]
    for evidence, hours in looks:
        now += timedelta(hours=hours)
        decision = decide(found, evidence, PARAMS, now)
        phase = this_phase(found.percent, PARAMS)
        if decision.action in (Action.ADVANCE, Action.FINISH):
            assert now - found.since >= timedelta(hours=phase.hours)
            assert evidence.images - found.images_before >= phase.images
            assert evidence.devices >= min(phase.devices, max(1, evidence.placed))
            assert decision.good >= PARAMS.good_looks
        assert decision.action is not Action.FINISH or found.percent == 100
        found = follow(found, decision, evidence, PARAMS, now)
        percents += [found.percent] * (found.percent != percents[-1])
    assert percents == [phase.percent for phase in PARAMS.phases[: len(percents)]]


@given(STATES, EVIDENCE, TIMES, st.sampled_from(COUNTED), st.integers(1, 400))
def test_worse_evidence_never_advances_what_better_evidence_holds(
    found: State, evidence: Evidence, now: datetime, measure: str, more: int
) -> None:
    share: Share = getattr(evidence, measure)
    worse = with_share(evidence, measure, Share(min(share.count + more, share.of), share.of))
    if decide(found, worse, PARAMS, now).action in (Action.ADVANCE, Action.FINISH):
        assert decide(found, evidence, PARAMS, now).action in (Action.ADVANCE, Action.FINISH)


@given(STATES, EVIDENCE, TIMES, st.sampled_from(COUNTED), st.integers(1, 400))
def test_better_evidence_never_halts_what_worse_evidence_lets_go_on(
    found: State, evidence: Evidence, now: datetime, measure: str, less: int
) -> None:
    share: Share = getattr(evidence, measure)
    better = with_share(evidence, measure, Share(max(share.count - less, 0), share.of))
    if decide(found, better, PARAMS, now).action in (Action.HALT, Action.TURN_BACK):
        assert decide(found, evidence, PARAMS, now).action in (Action.HALT, Action.TURN_BACK)


@given(STATES, EVIDENCE, TIMES)
def test_what_is_halted_or_over_stays_so_until_a_person_acts(found: State, evidence: Evidence, now: datetime) -> None:
    decision = decide(found, evidence, PARAMS, now)
    if found.mode not in LIVE or found.mode == Mode.HALTED:
        assert decision.action is Action.HOLD
        assert follow(found, decision, evidence, PARAMS, now).mode == found.mode
    if found.mode == Mode.PAUSED:
        assert decision.action in (Action.HOLD, Action.HALT, Action.TURN_BACK)


@given(STATES, EVIDENCE, TIMES)
def test_nothing_is_decided_on_one_bad_look_or_on_the_same_reports_again(
    found: State, evidence: Evidence, now: datetime
) -> None:
    fresh = replace(found, good=0, bad=0)
    assert decide(fresh, evidence, PARAMS, now).action is Action.HOLD
    told = decide(found, replace(evidence, heard=found.heard), PARAMS, now)
    assert told.good <= found.good
    assert told.bad <= found.bad


@given(STATES, EVIDENCE, TIMES)
def test_turning_back_needs_the_approvers_leave(found: State, evidence: Evidence, now: datetime) -> None:
    decision = decide(replace(found, returnable=False), evidence, PARAMS, now)
    assert decision.action is not Action.TURN_BACK
    assert decision.reason


@given(st.sampled_from(COUNTED))
def test_two_unlucky_devices_of_few_prove_nothing_and_many_do(measure: str) -> None:
    limit = 0.05
    limits = replace(LIMITS, failed=limit, errors=limit, slow=limit, disagreement=limit, silent=limit)
    params = replace(PARAMS, limits=limits)
    few, many = (
        with_share(Evidence(silent_others=Share(0, 1000)), measure, share) for share in (Share(1, 10), Share(100, 1000))
    )
    assert {found.verdict.value for found in judge(few, params)} == {"good", "unclear"}
    assert {found.verdict.value for found in judge(many, params)} == {"good", "bad"}


def test_a_good_version_goes_all_the_way() -> None:
    found, now, taken = state(), START, []
    for look in range(1, 200):
        now += timedelta(hours=1)
        evidence = good_evidence(heard=look, images=look * 100)
        decision = decide(found, evidence, PARAMS, now)
        if decision.action is not Action.HOLD:
            taken.append((decision.action, now - found.since))
        found = follow(found, decision, evidence, PARAMS, now)
    hours = [timedelta(hours=phase.hours) for phase in PARAMS.phases]
    assert taken == list(zip([Action.ADVANCE, Action.ADVANCE, Action.FINISH], hours, strict=True))
    assert found.mode == Mode.FINISHED


@pytest.mark.parametrize(
    ("evidence", "returnable", "action"),
    [
        (Evidence(failed=Share(9, 10)), True, Action.TURN_BACK),
        (Evidence(failed=Share(9, 10)), False, Action.HALT),
        (Evidence(errors=Share(60, 500), errors_before=Share(5, 5000)), True, Action.TURN_BACK),
        (Evidence(slow=Share(9, 10)), True, Action.TURN_BACK),
        (Evidence(silent=Share(9, 10), silent_others=Share(1, 90)), True, Action.TURN_BACK),
        (Evidence(labels={"basophil": 200.0}, labels_before={"neutrophil": 200.0}), True, Action.HALT),
        (Evidence(disagreed=Share(300, 500)), True, Action.HALT),
    ],
)
def test_what_fails_is_turned_back_and_what_answers_otherwise_waits_for_a_person(
    evidence: Evidence, returnable: bool, action: Action
) -> None:
    found = replace(state(), returnable=returnable)
    first = decide(found, replace(evidence, heard=1), PARAMS, START)
    assert (first.action, first.bad) == (Action.HOLD, 1)
    found = follow(found, first, replace(evidence, heard=1), PARAMS, START)
    assert decide(found, replace(evidence, heard=2), PARAMS, START).action is action


def test_silence_of_all_is_a_week_end() -> None:
    told = judge(Evidence(silent=Share(50, 50)), PARAMS) + judge(
        Evidence(silent=Share(45, 50), silent_others=Share(450, 500)), PARAMS
    )
    assert {found.verdict.value for found in told} == {"good"}


def test_after_a_halt_a_person_begins_the_phase_anew() -> None:
    halted = replace(state(), mode=Mode.HALTED.value, percent=25.0, good=1, bad=2, heard=70, images_before=5)
    later = START + timedelta(days=2)
    resumed = resume(halted, later)
    assert (resumed.mode, resumed.percent, resumed.since, resumed.counted_from) == (Mode.RUNNING, 25.0, later, later)
    assert (resumed.good, resumed.bad, resumed.heard, resumed.images_before) == (0, 0, 0, 0)


@pytest.mark.parametrize("percents", [[5.0], [25.0, 5.0, 100.0], [], [100.0, 100.0]])
def test_phases_rise_to_all_devices(percents: list[float]) -> None:
    with pytest.raises(ValueError, match="rising percents up to 100"):
        replace(PARAMS, phases=tuple(Phase(percent, 1, 1, 1.0) for percent in percents))


def test_phases_that_were_changed_meanwhile_are_still_taken_one_by_one() -> None:
    changed: RolloutParams = replace(PARAMS, phases=tuple(Phase(p, 1, 1, 1.0) for p in (10.0, 50.0, 100.0)))
    assert [next_phase(percent, changed).percent for percent in (5.0, 25.0, 100.0)] == [10.0, 50.0, 100.0]
    assert this_phase(5.0, changed).percent == 10.0


def test_every_measure_can_stop_a_rollout() -> None:
    """A measure that was added and is not judged would be found here."""
    known = {"heard", "placed", "devices", "images", "errors_before", "labels_before", "silent_others", "labels"}
    assert {field.name for field in fields(Evidence)} - known == set(COUNTED)


def test_each_phase_wants_images_of_its_own_and_a_pause_wants_none() -> None:
    later = START + timedelta(days=9)
    known = replace(state(25.0), images_before=5000, good=9)
    assert decide(known, good_evidence(1, 5999), PARAMS, later).reason == "999 of 1000 images"
    assert decide(known, good_evidence(1, 6000), PARAMS, later).action is Action.ADVANCE
    paused = decide(replace(known, mode=Mode.PAUSED.value), good_evidence(1, 6000), PARAMS, later)
    assert (paused.action, paused.reason) == (Action.HOLD, "paused until a person resumes it")
