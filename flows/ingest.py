"""Take in what is new in the bucket: to quarantine with a reason, or into a dataset revision."""

from typing import Any

from prefect import flow, unmapped
from prefect.artifacts import create_link_artifact, create_table_artifact

from hemaloop.config import Settings, read_settings
from hemaloop.embedded import bucket_environment
from hemaloop.ingest.claims import claimant
from hemaloop.ingest.ledger import Ledger
from tasks import ingest as tasks
from tasks.ingest_steps import split_chunks
from tasks.ingest_summary import Summary


@flow(name="ingest")
def ingest(params: str | None = None, keys: list[str] | None = None) -> dict[str, Any]:
    """Discover, claim, measure, judge, settle, seal, version. With nothing new it does nothing.

    Args:
        params: path of a params.yaml; by default that of the newest revision.
        keys: where a notification says that something has arrived; hints, never more.
    """
    settings = read_settings()
    with bucket_environment(settings), claimant(Ledger(settings.ledger), settings.home / "claims") as owner:
        path = tasks.find_params(settings, params, newest=False)
        summary = Summary(tasks.discover(settings, path, owner, keys or []))
        while claimed := tasks.claim(settings, path, owner):
            path = tasks.find_params(settings, params, newest=True)
            chunks = tasks.measure.map(unmapped(settings), unmapped(path), split_chunks(path, claimed)).result()
            measured = [found for chunk in chunks for found in chunk]
            judgement = tasks.judge(settings, path, measured)
            summary.add_round(measured, judgement, tasks.settle(settings, path, measured, judgement, owner))
            show(settings, summary)
        for sealed in tasks.seal(settings, path, owner):
            summary.add_batch(sealed, tasks.version(settings, path, sealed, owner))
    return summary.plain()


def show(settings: Settings, summary: Summary) -> None:
    """On Prefect's page: what was refused and why, and where the Data Docs are."""
    create_table_artifact(summary.refused, key="refused-uploads", description="Uploads that went to quarantine")
    index = settings.home / "docs" / "index.html"
    create_link_artifact(index.as_uri(), link_text="Data Docs of the last uploads", key="data-docs")
