"""How a notification wakes the ingest flow: an event, and the trigger that waits for it."""

from datetime import timedelta
from typing import Any

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import StateType
from prefect.events import DeploymentEventTrigger, Event, Resource

from flows.events import count_runs, post, prefect_client

EVENT = "hemaloop.uploads.arrived"
WOKEN = "woken"  # the deployment of ingest that the trigger runs

# A run that has not begun after so long may never: its worker died. Then another one is asked for.
LONGEST_WAIT = timedelta(minutes=10)


def trigger(bucket: str) -> DeploymentEventTrigger:
    """Runs a deployment when uploads arrive in a bucket, with their keys as its parameter `keys`."""
    keys = {"__prefect_kind": "jinja", "template": "{{ event.payload['keys'] | tojson }}"}
    return DeploymentEventTrigger(
        name=f"uploads arrived in {bucket}",
        description="What `hemaloop watch` heard of wakes ingest; by itself it polls, so nothing rests on this",
        expect={EVENT},
        match=_resource(bucket),
        parameters={"keys": {"__prefect_kind": "json", "value": keys}},
    )


def wake(bucket: str, keys: tuple[str, ...]) -> bool:
    """Tell Prefect that uploads have arrived; False while a woken run has yet to begin: it will see them.

    Raises:
        ConfigError: there is no such deployment.
        TransientError: Prefect's server is away, or failed.
    """
    with prefect_client(_deployment()) as client:
        if _waiting(client):
            return False
        post(client, Event(event=EVENT, resource=Resource(_resource(bucket)), payload={"keys": list(keys)}))
        return True


def waiting() -> int:
    """How many woken runs have yet to begin. Raises: as `wake` does."""
    with prefect_client(_deployment()) as client:
        return _waiting(client)


def _waiting(client: SyncPrefectClient) -> int:
    return count_runs(client, _deployment(), (StateType.SCHEDULED, StateType.PENDING), LONGEST_WAIT)


def _deployment() -> str:
    return f"ingest/{WOKEN}"


def _resource(bucket: str) -> dict[str, Any]:
    return {"prefect.resource.id": f"hemaloop.bucket.{bucket}"}
