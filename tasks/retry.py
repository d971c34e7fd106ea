"""What every task does when something outside fails: try again, but only where that may help."""

from typing import Any

from prefect import Task
from prefect.client.schemas.objects import State, TaskRun

from hemaloop.errors import TransientError


def is_transient(_task: "Task[..., Any]", _run: TaskRun, state: "State[Any]") -> bool:
    """Whether trying again may help."""
    return isinstance(state.result(raise_on_failure=False), TransientError)


RETRY: dict[str, Any] = {"retries": 3, "retry_delay_seconds": [2, 10, 30], "retry_condition_fn": is_transient}
