"""The ingest flow against the same steps called without Prefect. python -m bench.flow [--quick]

A Prefect server of its own, whose start is not counted; nor is making the bot's clone, once ever, or importing Great
Expectations, once a process. Plain runs before and after the flow, each on a site of its own with the same images.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from bench.images import turned_fields
from bench.ingesting import PARAMS, site, upload
from bench.ratio import Ratio, seconds
from bench.table import show
from hemaloop.config import Settings, read_settings
from hemaloop.embedded import environment, open_bucket
from tasks import ingest_steps
from tasks.ingest_plain import ingest_plain

GOAL = 1.15
QUICK, FULL = 300, 2000  # images


def run(quick: bool = False) -> list[Ratio]:
    import great_expectations  # noqa: F401

    with prefect_server():
        from flows.ingest import ingest

        told, images = turned_fields(QUICK if quick else FULL)
        before, poll = _twice(images, lambda: ingest_plain(read_settings(), str(PARAMS)))
        flow, idle = _twice(images, lambda: ingest(str(PARAMS)))
        after, _ = _twice(images, lambda: ingest_plain(read_settings(), str(PARAMS)))
    plain = min(before, after)  # the first may find cold files
    stages = {
        "a flow run with nothing new": idle,
        "the same without Prefect": poll,
        "Prefect's part of the whole": flow - plain,
    }
    return [Ratio(f"the flow over {told}", flow, plain, "its steps without Prefect", GOAL, stages)]


@contextmanager
def prefect_server() -> Iterator[None]:
    """A Prefect server in a process of its own; this process is its client, and has said hello to it."""
    import logging

    from prefect import flow
    from prefect.testing.utilities import prefect_test_harness

    logging.getLogger("prefect").setLevel(logging.ERROR)
    with prefect_test_harness(server_startup_timeout=180):
        flow(name="hello")(lambda: None)()
        yield


def _twice(images: list[bytes], ingest: Callable[[], Any]) -> tuple[float, float]:
    """Seconds of taking these in on a new site, and of a run that finds nothing new."""
    with site() as settings, environment(variables(settings)):
        bucket = open_bucket(settings)
        for number, image in enumerate(images):
            upload(bucket, number, image)
        ingest_steps.find_params(settings, None, newest=True)
        return seconds(ingest), seconds(ingest)


def variables(settings: Settings) -> dict[str, str]:
    """What a process is told of a site."""
    return {
        "HEMALOOP_HOME": str(settings.home),
        "HEMALOOP_BUCKET": open_bucket(settings).url,
        "HEMALOOP_REPOSITORY": settings.repository,
    }


if __name__ == "__main__":
    show(run(quick="--quick" in sys.argv))
