"""What devices report."""

from typing import Any

from prefect import task

from hemaloop.config import read_settings
from hemaloop.embedded import open_bucket
from hemaloop.ingest import reports
from hemaloop.ingest.ledger import Ledger
from tasks.retry import RETRY


@task(**RETRY)
def collect_reports() -> int:
    """Take new reports from the bucket into the ledger; how many."""
    settings = read_settings()
    return reports.collect(Ledger(settings.ledger), open_bucket(settings))


@task(**RETRY)
def summarise_fleet() -> list[dict[str, Any]]:
    """A row a device."""
    states = reports.fleet(Ledger(read_settings().ledger))
    return [vars(state) | {"last_seen": state.last_seen.isoformat()} for state in states]
