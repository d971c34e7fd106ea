"""The ingest flow without Prefect: the same steps in the same order, to compare and to kill."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from hemaloop.config import Settings
from hemaloop.ingest.claims import claimant
from hemaloop.ingest.ledger import Ledger
from hemaloop.ingest.measurers import measurers
from hemaloop.ingest.parameters import read_parameters
from tasks import ingest_steps
from tasks.ingest_steps import CHUNKS
from tasks.ingest_summary import Summary


def ingest_plain(
    settings: Settings, params: str | None = None, keys: Sequence[str] = (), steps: Any = ingest_steps
) -> dict[str, Any]:
    """Take in what is new; the bucket must be reachable. See flows/ingest.py.

    Args:
        steps: those of ingest_steps, or what stands before them and looks on.
    """
    path, ledger = steps.find_params(settings, params, newest=False), Ledger(settings.ledger)
    lease_seconds = read_parameters(path).ingest.lease_seconds
    claims = settings.home / "claims"
    with claimant(ledger, claims, lease_seconds) as owner, ThreadPoolExecutor(CHUNKS) as pool, measurers():
        summary = Summary(steps.discover(settings, path, owner, keys))
        while claimed := steps.claim(settings, path, owner):
            path = steps.find_params(settings, params, newest=True)
            chunks = pool.map(steps.measure, steps.plan_chunks(settings, path, claimed))
            measured = [found for chunk in chunks for found in chunk]
            judgement = steps.judge(settings, path, measured)
            summary.add_round(steps.settle(settings, path, measured, judgement, owner))
        steps.seal(settings, path, owner)
        for sealed, commit in steps.version_all(
            partial(steps.claim_batch, settings, path, owner),
            lambda sealed: steps.version(settings, path, sealed, owner),
        ):
            summary.add_batch(sealed, commit)
    return summary.plain()
