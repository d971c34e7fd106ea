"""Take in what is new in the bucket: to quarantine with a reason, or into a dataset revision."""

from typing import Any, TypeVar, cast

from prefect import flow
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner
from prefect.utilities.annotations import quote

from flows.ingest_artifacts import show
from hemaloop.config import read_settings
from hemaloop.embedded import bucket_environment
from hemaloop.ingest.claims import claimant
from hemaloop.ingest.ledger import Ledger
from hemaloop.ingest.measurers import measurers
from hemaloop.ingest.parameters import read_parameters
from tasks import ingest as tasks
from tasks.ingest_steps import CHUNKS, plan_chunks, version_all
from tasks.ingest_summary import Summary

Value = TypeVar("Value")


@flow(name="ingest")
def ingest(params: str | None = None, keys: list[str] | None = None, dask: str = "") -> dict[str, Any]:
    """Discover, claim, measure, judge, settle, seal, version. With nothing new it does nothing.

    Args:
        params: path of a params.yaml; by default that of the newest revision.
        keys: where a notification says that something has arrived; hints, never more.
        dask: address of a Dask scheduler whose workers measure; by default HEMALOOP_DASK, else threads of this process.
    """
    settings = read_settings()
    address, ledger = dask or settings.dask, Ledger(settings.ledger)
    with bucket_environment(settings), _runner(address) as runner, measurers():
        path = tasks.find_params(settings, params, newest=False)
        with claimant(ledger, settings.home / "claims", read_parameters(path).ingest.lease_seconds) as owner:
            summary = Summary(tasks.discover(settings, path, owner, keys or []))
            while claimed := tasks.claim(settings, path, owner):
                path = tasks.find_params(settings, params, newest=True)
                chunks = plan_chunks(settings, path, claimed, elsewhere=bool(address))
                # Dask would take what is quoted to pieces.
                mapped: dict[str, Any] = {"chunk": chunks if address else _whole(chunks)}
                found = runner.map(cast(Any, tasks.measure), mapped).result()
                measured = [each for chunk in found for each in chunk]
                judgement = tasks.judge(settings, path, _whole(measured))
                summary.add_round(tasks.settle(settings, path, _whole(measured), _whole(judgement), owner))
                show(settings, measured, judgement)
            tasks.seal(settings, path, owner)
            for sealed, commit in version_all(
                lambda: tasks.claim_batch(settings, path, owner),
                lambda sealed: tasks.version(settings, path, _whole(sealed), owner),
            ):
                summary.add_batch(sealed, commit)
    return summary.plain()


def _runner(dask: str) -> TaskRunner[Any]:
    """Where chunks are measured."""
    if not dask:
        return ThreadPoolTaskRunner(max_workers=CHUNKS)
    from prefect_dask.task_runners import DaskTaskRunner  # seconds

    return DaskTaskRunner(address=dask)


def _whole(value: Value) -> Value:
    """To a task as it is: Prefect would look into each of thousands of rows for results of other tasks."""
    return cast(Value, quote(value))
