"""A new model on probation: it has passed its self-test, and must now answer what the camera shows.

active.json says how many images; the journal keeps how it does. Too many failures, and the model before is back.
"""

import logging
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from hemaloop.device.journal import Journal
from hemaloop.device.updates.rules import may_go_back
from hemaloop.device.updates.self_test import run_apart
from hemaloop.device.updates.slots import Active, Slots
from hemaloop.errors import DataError
from hemaloop.protocol.documents import decode, encode

log = logging.getLogger(__name__)

TRIAL = "trial"  # the journal's note
ONE_IN = 10  # images may fail, and one in any case: a power cut looks like a model that took the process down


class Verdict(StrEnum):
    NONE = "none"
    RUNNING = "running"
    PASSED = "passed"
    FAILED = "failed"


@dataclass(frozen=True)
class Trial:
    """How the active model has done since the switch."""

    version: int
    since: datetime
    answered: int = 0
    failed: int = 0  # attempts without an answer, with an impossible one, or with a late one
    why: str = ""  # the last failure


def judge(trial: Trial, images: int) -> Verdict:
    """`images` must be answered, and of as many attempts one in ten may fail, or one where there are fewer."""
    if not images:
        return Verdict.NONE
    if trial.failed > max(1, images // ONE_IN):
        return Verdict.FAILED
    return Verdict.PASSED if trial.answered >= images else Verdict.RUNNING


def trial_of(active: Active, journal: Journal) -> Trial:
    """What is remembered of the active model; nothing, where the journal speaks of another switch."""
    fresh = Trial(active.version, active.since)
    try:
        noted = decode((journal.noted(TRIAL) or "").encode(), Trial)
    except DataError:
        return fresh
    return noted if (noted.version, noted.since) == (fresh.version, fresh.since) else fresh


def verdict(active: Active, journal: Journal) -> Verdict:
    return judge(trial_of(active, journal), active.probation)


def text(active: Active | None, journal: Journal) -> str:
    """As a report says it: none, running: 3 of 20, passed, returned: why; failed: why, where none could come back."""
    if active is None or not active.probation:
        return f"returned: {active.returned}" if active and active.returned else "none"
    trial = trial_of(active, journal)
    found = judge(trial, active.probation)
    if found is Verdict.PASSED:
        return found.value
    if found is Verdict.FAILED:
        return f"failed: {trial.why}"
    return f"running: {trial.answered} of {active.probation}"


def count(active: Active, journal: Journal, failure: str = "") -> None:
    """One image more; `failure`: "" or what was wrong with the answer."""
    trial = trial_of(active, journal)
    if failure:
        trial = replace(trial, failed=trial.failed + 1, why=failure)
    else:
        trial = replace(trial, answered=trial.answered + 1)
    journal.note(TRIAL, encode(trial).decode())


def go_back(
    slots: Slots, journal: Journal, at: datetime, why: str, failed: bool, barred: frozenset[int] = frozenset()
) -> bool:
    """Run what the idle slot holds, if the rule allows it and it still passes its self-test.

    Args:
        why: what reports say of it.
        failed: the version that runs is not taken again here.
        barred: versions that no device may run.

    Returns: False where it cannot; what runs goes on.
    """
    active, running, idle = slots.active(), slots.running(), slots.idle()
    if active is None or running is None or idle is None:
        return False
    held, folder = idle
    on_probation = verdict(active, journal) in (Verdict.RUNNING, Verdict.FAILED)
    if not may_go_back(running, held.version, on_probation, barred):
        return False
    tested = run_apart(folder)
    if tested.failure:
        log.error("release %d cannot come back: %s", held.version, tested.failure)
        return False
    slots.back(at, f"release {active.version}: {why}", failed)
    log.error("release %d is back: release %d: %s", held.version, active.version, why)
    return True
