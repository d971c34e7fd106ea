"""Promise 3: never older than what ran before, but for the fallback that the approvers signed."""

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from hemaloop.device.updates.rules import Avoid, Refuse, Running, Stay, Take, may_go_back, may_run_beside, may_update

VERSIONS = st.integers(1, 6)


@dataclass(frozen=True)
class Step:
    """Whoever holds the channel key asks for a version."""

    wanted: int
    damaged: bool


STEPS = st.lists(st.builds(Step, VERSIONS, st.booleans()), max_size=30)


@given(STEPS, st.dictionaries(VERSIONS, VERSIONS))
def test_no_order_of_wishes_walks_a_device_back_further_than_the_newest_release_allows(
    steps: list[Step], fallbacks: dict[int, int]
) -> None:
    running: Running | None = None
    for step in steps:
        decision = may_update(running, step.wanted)
        if isinstance(decision, Take):
            highest = max(running.highest if running else 0, decision.version)
            running = Running(decision.version, highest, fallbacks.get(decision.version), not step.damaged)
        if running is not None:
            assert running.version in (running.highest, fallbacks.get(running.highest))


@given(VERSIONS, VERSIONS, st.none() | VERSIONS)
def test_a_newer_release_is_always_taken(version: int, ahead: int, fallback: int | None) -> None:
    running = Running(version, version, fallback)
    assert may_update(running, version + ahead) == Take(version + ahead)


def test_the_first_release_is_taken_whatever_it_is() -> None:
    assert may_update(None, 4) == Take(4)


def test_the_running_release_stays_unless_its_file_is_damaged() -> None:
    assert may_update(Running(3, 3, None), 3) == Stay(3)
    assert may_update(Running(3, 3, None, intact=False), 3) == Take(3)
    assert may_update(Running(2, 3, None, intact=False), 2) == Take(2)


def test_the_signed_fallback_is_taken_and_no_other_older_release() -> None:
    running = Running(3, 3, fallback=2)
    assert may_update(running, 2) == Take(2)
    assert may_update(running, 1) == Refuse(
        "release 1 is older than release 3, which ran here, and the running release 3 allows 2 alone"
    )


def test_a_fallbacks_own_fallback_does_not_count() -> None:
    assert isinstance(may_update(Running(2, 3, fallback=1), 1), Refuse)
    assert may_update(Running(2, 3, fallback=1), 3) == Take(3)


SETS = st.frozensets(VERSIONS)
RUNNING = st.builds(Running, VERSIONS, st.integers(6, 9), st.none() | VERSIONS, st.booleans(), SETS)


@given(RUNNING, VERSIONS, SETS)
def test_what_is_halted_is_never_taken_nor_what_failed_here(
    running: Running, wanted: int, halted: frozenset[int]
) -> None:
    decision = may_update(running, wanted, halted)
    if wanted in halted:
        assert isinstance(decision, Avoid)
    if isinstance(decision, Take) and wanted != running.version:
        assert wanted not in running.failed


@given(RUNNING, VERSIONS, SETS)
def test_a_shadow_is_another_version_that_neither_failed_nor_is_halted(
    running: Running, shadow: int, halted: frozenset[int]
) -> None:
    allowed = shadow != running.version and shadow not in halted and shadow not in running.failed
    assert may_run_beside(running, shadow, halted) == allowed


@given(RUNNING, VERSIONS, st.booleans(), SETS)
def test_a_device_goes_back_by_itself_on_probation_or_to_the_newest_releases_fallback(
    running: Running, idle: int, on_probation: bool, halted: frozenset[int]
) -> None:
    fallback = running.version == running.highest and idle == running.fallback
    assert may_go_back(running, idle, on_probation, halted) == (idle not in halted and (on_probation or fallback))
