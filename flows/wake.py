"""How a notification wakes the ingest flow: an event, and the trigger that waits for it."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import prefect
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterId,
    FlowRunFilter,
    FlowRunFilterExpectedStartTime,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import StateType
from prefect.events import DeploymentEventTrigger, Event, Resource
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError

from hemaloop.errors import ConfigError, TransientError

EVENT = "hemaloop.uploads.arrived"
WOKEN = "woken"  # the deployment of ingest that the trigger runs
TIMEOUT_SECONDS = 10.0
HOW_TO_START = "`prefect server start`, then `prefect config set PREFECT_API_URL=http://127.0.0.1:4200/api`"

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

    The event is posted, not put into Prefect's own background queue: only so do we know that it came there.

    Raises:
        ConfigError: there is no such deployment.
        TransientError: Prefect's server is away, or failed.
    """
    event = Event(event=EVENT, resource=Resource(_resource(bucket)), payload={"keys": list(keys)})
    with _client() as client:
        if _waiting(client):
            return False
        client.request("POST", "/events", json=[event.model_dump(mode="json")])
        return True


def waiting() -> int:
    """How many woken runs have yet to begin. Raises: as `wake` does."""
    with _client() as client:
        return _waiting(client)


def _waiting(client: SyncPrefectClient) -> int:
    deployment = client.read_deployment_by_name(f"ingest/{WOKEN}").id
    since = {"after_": datetime.now(UTC) - LONGEST_WAIT}  # Prefect's own type of time depends on the Python
    not_begun = FlowRunFilter(
        state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.SCHEDULED, StateType.PENDING])),
        expected_start_time=FlowRunFilterExpectedStartTime.model_validate(since),
    )
    return client.count_flow_runs(
        flow_run_filter=not_begun, deployment_filter=DeploymentFilter(id=DeploymentFilterId(any_=[deployment]))
    )


@contextmanager
def _client() -> Iterator[SyncPrefectClient]:
    if not prefect.settings.PREFECT_API_URL.value():  # Prefect would start a server of its own, that runs no triggers
        raise ConfigError(f"no Prefect server (PREFECT_API_URL is not set): {HOW_TO_START}")
    try:
        with get_client(httpx_settings={"timeout": TIMEOUT_SECONDS}, sync_client=True) as client:
            yield client
    except ObjectNotFound as error:
        raise ConfigError(f"Prefect knows no deployment ingest/{WOKEN}: run `hemaloop deploy` first") from error
    except (httpx.HTTPError, PrefectHTTPStatusError) as error:
        raise TransientError(f"Prefect's server is away ({str(error) or type(error).__name__})") from error


def _resource(bucket: str) -> dict[str, Any]:
    return {"prefect.resource.id": f"hemaloop.bucket.{bucket}"}
