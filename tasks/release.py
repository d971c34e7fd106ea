"""One call each on the releases in the bucket, and on MLflow's mirror of them."""

from datetime import UTC, datetime

from prefect import task

from hemaloop.config import read_settings
from hemaloop.embedded import open_bucket
from hemaloop.release import publish, status
from hemaloop.release.approvals import approval
from hemaloop.release.approvals.approval import Approvals
from hemaloop.release.parameters import Expiries, ReleaseParams
from hemaloop.release.publish import Published, Refreshed
from hemaloop.release.status import Status
from tasks.retry import RETRY


@task(**RETRY)
def find_pending(expiries: Expiries) -> Approvals | None:
    """The version that waits to be released or revoked, and who approved that."""
    return approval.pending(open_bucket(read_settings()), datetime.now(UTC), expiries)


@task(**RETRY)
def publish_approved(params: ReleaseParams) -> Published:
    """Release the version that enough approvers signed; a channel that has one already gets it by a rollout."""
    settings = read_settings()
    now = datetime.now(UTC)
    return publish.publish(open_bucket(settings), settings.keys, params.channel, now, params.expiries, staged=True)


@task(**RETRY)
def refresh_metadata(params: ReleaseParams) -> Refreshed:
    """Sign the online metadata anew."""
    settings = read_settings()
    return publish.refresh(open_bucket(settings), settings.keys, datetime.now(UTC), params.expiries)


@task(**RETRY)
def read_status() -> Status:
    """What is signed until when, and what each channel names."""
    return status.status(open_bucket(read_settings()), datetime.now(UTC))


@task(**RETRY)
def mirror_releases(channel: str, expiries: Expiries) -> tuple[str, ...]:
    """MLflow's tags and alias follow the signatures; what differed, a line each."""
    from hemaloop.registry.mirror import Standing, mirror  # MLflow takes seconds to import

    settings = read_settings()
    found = status.status(open_bucket(settings), datetime.now(UTC), expiries)
    standings = {signed.version: Standing(signed.standing, signed.people) for signed in status.signed(found)}
    return mirror(settings.mlflow, found.channels.get(channel), standings)
