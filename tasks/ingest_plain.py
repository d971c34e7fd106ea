"""The ingest flow without Prefect: the same steps in the same order, to compare and to kill."""

from typing import Any

from hemaloop.config import Settings
from hemaloop.ingest.claims import claimant
from hemaloop.ingest.ledger import Ledger
from tasks import ingest_steps as steps
from tasks.ingest_summary import Summary


def ingest_plain(settings: Settings, params: str | None = None) -> dict[str, Any]:
    """Take in what is new; the bucket must be reachable. See flows/ingest.py."""
    path = steps.find_params(settings, params, newest=False)
    with claimant(Ledger(settings.ledger), settings.home / "claims") as owner:
        summary = Summary(steps.discover(settings, path, owner))
        while claimed := steps.claim(settings, path, owner):
            path = steps.find_params(settings, params, newest=True)
            chunks = [steps.measure(settings, path, chunk) for chunk in steps.split_chunks(path, claimed)]
            measured = [found for chunk in chunks for found in chunk]
            judgement = steps.judge(settings, path, measured)
            summary.add_round(measured, judgement, steps.settle(settings, path, measured, judgement, owner))
        for sealed in steps.seal(settings, path, owner):
            summary.add_batch(sealed, steps.version(settings, path, sealed, owner))
    return summary.plain()
