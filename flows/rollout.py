"""Every channel's rollout goes on, is held, halted or turned back, by what devices reported."""

import logging
from pathlib import Path

from prefect import flow
from prefect.artifacts import create_table_artifact
from prefect.logging import get_run_logger

from hemaloop.config import read_section, read_settings
from hemaloop.embedded import bucket_environment
from hemaloop.release.parameters import ReleaseParams
from hemaloop.release.rollout.parameters import RolloutParams
from hemaloop.release.rollout.rule import Action
from tasks.release import read_status
from tasks.rollout import begin_rollout, gather_evidence, look_at_rollout, read_pins


@flow(name="rollout")
def rollout(params: str = "params.yaml") -> list[dict[str, str]]:
    """Look at every rollout once; a row each.

    Returns:
        channel, version, action (of this look), reason; channels whose rollout is over are left out.
    """
    release = read_section(Path(params), "release", ReleaseParams)
    section = read_section(Path(params), "rollout", RolloutParams)
    with bucket_environment(read_settings()):
        looked = [_look(channel, release, section) for channel in read_status().channels]
    rows = [row for row in looked if row]
    for row in rows:
        level = logging.INFO if row["action"] == Action.HOLD else logging.WARNING
        get_run_logger().log(level, "channel %(channel)s: version %(version)s: %(action)s: %(reason)s", row)
    if rows:
        create_table_artifact(
            table=rows, key="rollouts", description="Versions on their way, and the last look at each"
        )
    return rows


def _look(channel: str, release: ReleaseParams, section: RolloutParams) -> dict[str, str]:
    course = begin_rollout(channel, release, section)
    state = course.state
    if state is None or not course.live:
        return {}
    evidence = gather_evidence(state, read_pins(channel, release, section), section)
    decision = look_at_rollout(state, evidence, release, section)
    if decision is None:
        return {}
    return {
        "channel": channel,
        "version": str(state.version),
        "percent": f"{state.percent:g}",
        "action": str(decision.action),
        "reason": decision.reason,
    }
