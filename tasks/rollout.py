"""One call each on the rollouts of channels, and what devices reported of them."""

from datetime import UTC, datetime, timedelta

from prefect import task

from hemaloop.config import read_settings
from hemaloop.embedded import open_bucket
from hemaloop.ingest.fleet.hearing import told
from hemaloop.ingest.fleet.table import fleet
from hemaloop.ingest.ledger import Ledger
from hemaloop.release.parameters import ReleaseParams
from hemaloop.release.rollout.course import Course
from hemaloop.release.rollout.evidence import hear, weigh
from hemaloop.release.rollout.parameters import RolloutParams
from hemaloop.release.rollout.rule import Decision, Evidence, State
from hemaloop.release.rollout.running import Rollouts
from tasks.retry import RETRY


def rollouts(channel: str, release: ReleaseParams, params: RolloutParams) -> Rollouts:
    """Those of a channel, in the bucket of the environment."""
    settings = read_settings()
    return Rollouts(open_bucket(settings), settings.keys, channel, params, release.expiries)


def devices_of(channel: str) -> list[str]:
    """Devices that reported that they follow a channel."""
    return [device.device for device in fleet(Ledger(read_settings().ledger)) if device.channel == channel]


@task(**RETRY)
def begin_rollout(channel: str, release: ReleaseParams, params: RolloutParams) -> Course:
    """Settle what a killed run left, and begin the rollout that waits."""
    return rollouts(channel, release, params).begin(devices_of(channel), datetime.now(UTC))


@task(**RETRY)
def gather_evidence(state: State, pins: list[str], params: RolloutParams) -> Evidence:
    """What the channel's devices said of the version on its way, and of the one before."""
    since = state.counted_from - timedelta(days=params.reference_days)
    found = told(Ledger(read_settings().ledger), state.channel, since, state.counted_from)
    return weigh(hear(found.before, found.since, state), state, params, datetime.now(UTC), pins)


@task(**RETRY)
def look_at_rollout(state: State, evidence: Evidence, release: ReleaseParams, params: RolloutParams) -> Decision | None:
    """Decide on the evidence, and do it; None: a person was quicker."""
    return rollouts(state.channel, release, params).look(state, evidence, datetime.now(UTC))


@task(**RETRY)
def read_pins(channel: str, release: ReleaseParams, params: RolloutParams) -> list[str]:
    """Devices that a person pinned to a version."""
    return sorted(rollouts(channel, release, params).known().pins)
