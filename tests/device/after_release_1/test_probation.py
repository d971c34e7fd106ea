"""A new model is kept once it has answered; one that fails is gone by itself, and what ran before is back."""

from datetime import datetime, timedelta

import numpy as np
import pytest
from device_bench import Cloud, Pi, build, build_blind
from hypothesis import given
from hypothesis import strategies as st

from hemaloop.device.answering import ACTIVE, MOST_DEATHS, SHADOW, is_possible
from hemaloop.device.home import utc_now
from hemaloop.device.journal import Counts, UnsentReport
from hemaloop.device.updates.probation import Trial, Verdict, judge
from hemaloop.device.updates.update import Avoided, Refused, Returned, Updated, UpToDate
from hemaloop.protocol.channel import Channel
from hemaloop.protocol.report import ShadowRun
from hemaloop.release.online import halt, unhalt
from hemaloop.release.publish import refresh


def version(pi: Pi) -> int:
    return pi.slots.model().version


def counted(pi: Pi) -> Counts:
    """What the next report would say."""
    seen = []

    def write(counts: Counts, _: datetime) -> UnsentReport:
        seen.append(counts)
        return UnsentReport("reports/pi-1/a.json", b"")

    pi.journal.sent(pi.journal.close_report(utc_now(), write).key)
    return seen[0]


def from_one_to(cloud: Cloud, pi: Pi, bundle: object, images: int = 3) -> None:
    """Run release 1, then release 2 on probation."""
    cloud.release(bundle)  # type: ignore[arg-type]
    cloud.say(Channel("stable", 2, probation_images=images))
    assert isinstance(pi.update(), Updated)


@given(st.integers(1, 100), st.lists(st.booleans(), max_size=150))
def test_a_trial_ends_once_and_a_single_failure_ends_none(images: int, attempts: list[bool]) -> None:
    """True: answered. A power cut looks like one failure."""
    trial = Trial(2, utc_now())
    for answered in attempts:
        if judge(trial, images) is not Verdict.RUNNING:
            break
        trial = Trial(2, trial.since, trial.answered + answered, trial.failed + (not answered))
    found = judge(trial, images)
    assert (found is Verdict.PASSED) == (trial.answered >= images and trial.failed <= max(1, images // 10))
    assert (found is Verdict.FAILED) == (trial.failed > max(1, images // 10))
    if trial.failed <= 1:
        assert found is not Verdict.FAILED


@pytest.mark.parametrize(
    ("probabilities", "possible"),
    [
        ([0.2, 0.8], True),
        ([0.23, 0.72], True),
        ([float("nan"), 0.8], False),
        ([float("inf"), 0.0], False),
        ([-0.1, 1.1], False),
        ([0.0, 0.0], False),
        ([1.0, 1.0], False),
    ],
)
def test_answers_that_cannot_be_probabilities_are_none(probabilities: list[float], possible: bool) -> None:
    assert is_possible(np.array(probabilities, np.float32)) is possible


@pytest.mark.slow
def test_a_new_model_that_answers_is_kept(cloud: Cloud, pi: Pi) -> None:
    assert pi.probation == "none", "the first model has nothing to come back to"
    cloud.release(build(2))
    cloud.say(Channel("stable", 2, probation_images=2))
    assert isinstance(pi.update(), Updated)
    assert pi.probation == "running: 0 of 2"
    assert pi.look("monocyte", "no image") == [True, True]
    assert pi.probation == "running: 1 of 2", "an image that nobody can read says nothing of the model"
    assert pi.look("monocyte") == [True]
    assert (pi.probation, version(pi)) == ("passed", 2)
    counts = counted(pi)
    assert (counts.classified, counts.unreadable, counts.failures) == ({"monocyte": 2}, 1, 0)
    assert [answer.version for answer in counts.answers] == [2, 2]
    assert counts.answers[0].capture == "uploads/pi-1/2026/11/21/20261121-0.png"
    assert sum(counts.confidence) == 2
    assert counted(pi).answers == ()


@pytest.mark.slow
def test_a_model_that_does_not_answer_is_gone_and_the_one_before_answers_the_same_images(cloud: Cloud, pi: Pi) -> None:
    from_one_to(cloud, pi, build_blind(2), images=20)
    assert pi.look("monocyte", "monocyte", "monocyte", "neutrophil") == [False, False, False, True]
    assert version(pi) == 1
    assert pi.probation.startswith("returned: release 2: an impossible answer")
    assert counted(pi).classified == {"neutrophil": 1}
    tried = pi.update()
    assert isinstance(tried, Avoided)
    assert "release 2 failed here" in str(tried)
    cloud.release(build(3))
    assert isinstance(pi.update(), Updated), "a later release is another matter"
    assert (version(pi), pi.slots.active().failed.keys()) == (3, {"2"})  # type: ignore[union-attr]


@pytest.mark.slow
def test_answers_that_come_later_than_the_signed_budget_are_failures(cloud: Cloud, pi: Pi) -> None:
    from_one_to(cloud, pi, build(2))
    release = pi.home.slots / "B" / "release.json"
    release.write_bytes(release.read_bytes().replace(b'"latency_budget_ms":1000.0', b'"latency_budget_ms":1e-6'))
    assert pi.look("monocyte", "monocyte", "monocyte") == [True, True, True]
    assert version(pi) == 1
    assert "ms, allowed are 1e-06 ms" in pi.probation
    assert counted(pi).classified == {"monocyte": 3}, "a late answer is an answer"


@pytest.mark.slow
def test_a_model_that_takes_the_process_down_is_found_out_by_the_next_process(cloud: Cloud, pi: Pi) -> None:
    from_one_to(cloud, pi, build(2))
    for capture in ("20261121-0", "20261121-1"):
        pi.journal.attempt(ACTIVE, capture)  # and then the process ended
        assert version(pi) == 2
        pi.look("monocyte")
    assert version(pi) == 1
    assert "the process ended while it answered 20261121-1" in pi.probation


@pytest.mark.slow
def test_an_image_that_no_model_survives_is_given_up(cloud: Cloud, pi: Pi) -> None:
    for _ in range(MOST_DEATHS):
        pi.journal.attempt(ACTIVE, "20261121-0")
    assert pi.look("monocyte", "monocyte") == [True, True]
    counts = counted(pi)
    assert (counts.failures, counts.classified) == (1, {"monocyte": 1})


@pytest.mark.slow
def test_a_newer_release_takes_the_place_of_the_one_on_probation_not_of_the_proven_one(cloud: Cloud, pi: Pi) -> None:
    from_one_to(cloud, pi, build(2))
    cloud.release(build_blind(3))
    assert isinstance(pi.update(), Updated)
    assert version(pi) == 3
    pi.look("monocyte", "monocyte", "monocyte")
    assert version(pi) == 1


@pytest.mark.slow
def test_a_damaged_model_gives_way_to_its_fallback_and_comes_again(cloud: Cloud, pi: Pi) -> None:
    from_one_to(cloud, pi, build(2, fallback=1), images=0)
    (pi.home.slots / "B" / "model.tflite").write_bytes(b"a bad block")
    assert pi.look("monocyte") == [True]
    assert version(pi) == 1
    assert isinstance(pi.update(), Updated)
    assert version(pi) == 2


@pytest.mark.slow
def test_a_halted_release_gives_way_to_its_fallback_though_all_but_the_timestamp_has_expired(
    cloud: Cloud, pi: Pi
) -> None:
    from_one_to(cloud, pi, build(2, fallback=1), images=0)
    assert pi.update() == UpToDate(2)
    refresh(cloud.bucket, cloud.online, utc_now() - timedelta(days=30))
    halt(cloud.bucket, cloud.online, 2, utc_now())
    assert pi.update() == Returned(1, "release 2 is halted")
    assert pi.look("monocyte") == [True]
    assert version(pi) == 1
    assert isinstance(pi.update(), Avoided | Refused)
    refresh(cloud.bucket, cloud.online, utc_now())
    assert pi.update() == Avoided(2, "release 2 is halted")
    unhalt(cloud.bucket, cloud.online, 2, utc_now())
    assert isinstance(pi.update(), Updated)


@pytest.mark.slow
def test_a_halted_release_without_a_fallback_goes_on_for_a_device_must_answer(cloud: Cloud, pi: Pi) -> None:
    from_one_to(cloud, pi, build(2), images=0)
    halt(cloud.bucket, cloud.online, 2, utc_now())
    assert pi.update() == Avoided(2, "release 2 is halted")
    assert (pi.look("monocyte"), version(pi)) == ([True], 2)


@pytest.mark.slow
def test_a_shadow_answers_beside_and_never_runs(cloud: Cloud, pi: Pi) -> None:
    cloud.release(build_blind(2))
    cloud.say(Channel("stable", 1, shadow=2))
    assert pi.update() == UpToDate(1)
    assert pi.look("monocyte", "neutrophil") == [True, True]
    counts = counted(pi)
    assert (counts.shadow, counts.classified) == (ShadowRun(2, 2, 0, 2), {"monocyte": 1, "neutrophil": 1})
    cloud.release(build(3))
    cloud.say(Channel("stable", 1, shadow=3))
    assert pi.update() == UpToDate(1)
    pi.look("monocyte")
    assert counted(pi).shadow == ShadowRun(3, 1, 1, 0)
    assert version(pi) == 1
    cloud.say(Channel("stable", 1))
    assert pi.update() == UpToDate(1)
    pi.look("monocyte")
    assert counted(pi).shadow is None


@pytest.mark.slow
def test_a_shadow_that_takes_the_process_down_ends_and_is_not_tried_again(cloud: Cloud, pi: Pi) -> None:
    cloud.release(build(2))
    cloud.say(Channel("stable", 1, shadow=2))
    assert pi.update() == UpToDate(1)
    for _ in range(MOST_DEATHS):
        pi.journal.attempt(SHADOW, "2")
    pi.look("monocyte", "monocyte")
    counts = counted(pi)
    assert (counts.shadow, counts.classified) == (None, {"monocyte": 2})
    cloud.say(Channel("stable", 2))
    assert isinstance(pi.update(), Avoided)


@pytest.mark.slow
def test_a_shadow_waits_until_probation_is_over(cloud: Cloud, pi: Pi) -> None:
    from_one_to(cloud, pi, build(2), images=1)
    cloud.release(build(3))
    cloud.say(Channel("stable", 2, shadow=3, probation_images=1))
    assert pi.update() == UpToDate(2)
    idle = pi.slots.idle()
    assert idle is not None
    assert idle[0].version == 1
    pi.look("monocyte")
    assert pi.probation == "passed"
    assert pi.update() == UpToDate(2)
    idle = pi.slots.idle()
    assert idle is not None
    assert (idle[0].version, idle[0].shadow) == (3, True)
