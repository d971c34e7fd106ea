"""How the fleet starts the retrain flow: an event that says what is amiss, and the trigger that waits for it."""

from datetime import timedelta
from typing import Any

from prefect.client.schemas.objects import StateType
from prefect.events import DeploymentEventTrigger, Event, Resource

from flows.events import count_runs, post, prefect_client

EVENT = "hemaloop.fleet.amiss"
RETRAIN = "retrain/scheduled"  # the one deployment that trains: two at once would share a clone
LONGEST_TRAINING = timedelta(days=7)  # a run that is said to be on for longer is not: its worker died


def trigger(bucket: str) -> DeploymentEventTrigger:
    """Runs a deployment when something is amiss in the fleet of a bucket; one new labelled image is enough then."""
    return DeploymentEventTrigger(
        name=f"the fleet of {bucket} is amiss",
        description="Drift or errors that the fleet flow found: retrain as soon as there is anything new to learn from",
        expect={EVENT},
        match=_resource(bucket),
        parameters={"minimum_new_images": 1},
    )


def ask(bucket: str, reasons: list[str]) -> bool:
    """Tell Prefect what is amiss; False while a retrain run is on, for it would drop another one: ask again later.

    Raises:
        ConfigError: there is no such deployment, or no server.
        TransientError: Prefect's server is away, or failed.
    """
    with prefect_client(RETRAIN) as client:
        if count_runs(client, RETRAIN, (StateType.RUNNING, StateType.PENDING), LONGEST_TRAINING):
            return False
        post(client, Event(event=EVENT, resource=Resource(_resource(bucket)), payload={"reasons": reasons}))
        return True


def _resource(bucket: str) -> dict[str, Any]:
    return {"prefect.resource.id": f"hemaloop.fleet.{bucket}"}
