"""Events that start deployments: Prefect's client, as what waits for none of them sees it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

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
from prefect.events import Event
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError

from hemaloop.errors import ConfigError, TransientError

TIMEOUT_SECONDS = 10.0
HOW_TO_START = "`prefect server start`, then `prefect config set PREFECT_API_URL=http://127.0.0.1:4200/api`"


@contextmanager
def prefect_client(deployment: str) -> Iterator[SyncPrefectClient]:
    """A client of Prefect's server, for what has to do with one deployment, '<flow>/<name>'.

    Raises:
        ConfigError: there is no such deployment, or no server is named.
        TransientError: the server is away, or failed.
    """
    if not prefect.settings.PREFECT_API_URL.value():  # Prefect would start a server of its own, that runs no triggers
        raise ConfigError(f"no Prefect server (PREFECT_API_URL is not set): {HOW_TO_START}")
    try:
        with get_client(httpx_settings={"timeout": TIMEOUT_SECONDS}, sync_client=True) as client:
            yield client
    except ObjectNotFound as error:
        raise ConfigError(f"Prefect knows no deployment {deployment}: run `hemaloop deploy` first") from error
    except (httpx.HTTPError, PrefectHTTPStatusError) as error:
        raise TransientError(f"Prefect's server is away ({str(error) or type(error).__name__})") from error


def post(client: SyncPrefectClient, event: Event) -> None:
    """Posted, and not put into Prefect's own background queue: only so do we know that it came there."""
    client.request("POST", "/events", json=[event.model_dump(mode="json")])


def count_runs(client: SyncPrefectClient, deployment: str, states: Sequence[StateType], within: timedelta) -> int:
    """Runs of a deployment in one of these states that were to start within that time, or are to start later."""
    id_ = client.read_deployment_by_name(deployment).id
    since = {"after_": datetime.now(UTC) - within}  # Prefect's own type of time depends on the Python
    wanted = FlowRunFilter(
        state=FlowRunFilterState(type=FlowRunFilterStateType(any_=list(states))),
        expected_start_time=FlowRunFilterExpectedStartTime.model_validate(since),
    )
    of_deployment = DeploymentFilter(id=DeploymentFilterId(any_=[id_]))
    return client.count_flow_runs(flow_run_filter=wanted, deployment_filter=of_deployment)
