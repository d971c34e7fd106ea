"""The ingest flow on a Dask cluster of this machine, two worker processes, against threads of its own process.

On one machine a cluster has no more processors to give, and what is measured must travel: it is for several machines.
"""

import sys
from typing import Any

from bench.flow import prefect_server, variables
from bench.images import turned_fields
from bench.ingesting import PARAMS, site, upload
from bench.ratio import Ratio, seconds
from bench.table import show
from hemaloop.embedded import environment, open_bucket
from tasks import ingest_steps

GOAL = 1.0
QUICK, FULL = 300, 2000  # images
WORKERS = 2


def run(quick: bool = False) -> list[Ratio]:
    import great_expectations  # noqa: F401

    told, images = turned_fields(QUICK if quick else FULL)
    with prefect_server():
        threads, dask = _measuring(images, on_dask=False), _measuring(images, on_dask=True)
    return [Ratio(f"measure {told} on Dask, {WORKERS} processes", dask, threads, "threads of the flow's process", GOAL)]


def _measuring(images: list[bytes], on_dask: bool) -> float:
    """Seconds of the flow's measuring; the cluster is up and warm, as one that is there for every flow."""
    import distributed
    from prefect.task_runners import ThreadPoolTaskRunner
    from prefect_dask.task_runners import DaskTaskRunner

    from tasks import ingest as tasks

    with site() as settings, environment(variables(settings)):
        for number, image in enumerate(images):
            upload(open_bucket(settings), number, image)
        ingest_steps.discover(settings, PARAMS, "bench")
        claimed = ingest_steps.claim(settings, PARAMS, "bench")
        chunks = ingest_steps.plan_chunks(settings, PARAMS, claimed, elsewhere=on_dask)

        def measure_all(runner: Any) -> float:
            with runner:
                runner.map(tasks.measure, {"chunk": chunks[:WORKERS]}).result()
                return seconds(lambda: runner.map(tasks.measure, {"chunk": chunks}).result())

        if not on_dask:
            return measure_all(ThreadPoolTaskRunner(max_workers=ingest_steps.CHUNKS))
        local: Any = distributed.LocalCluster
        with local(n_workers=WORKERS, threads_per_worker=1, dashboard_address=None) as cluster:
            return measure_all(DaskTaskRunner(address=cluster.scheduler_address))


if __name__ == "__main__":
    show(run(quick="--quick" in sys.argv))
