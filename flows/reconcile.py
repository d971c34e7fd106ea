"""List the whole bucket against the ledger: what no poll would find is entered, and the next ingest takes it."""

from typing import Any

from prefect import flow

from hemaloop.config import read_settings
from hemaloop.embedded import bucket_environment
from tasks import ingest as tasks


@flow(name="reconcile")
def reconcile(params: str | None = None) -> dict[str, Any]:
    """Reconcile once, in bounded memory; killed, the next run begins anew.

    Args:
        params: path of a params.yaml; by default that of the newest revision.

    Returns:
        lists (LIST requests), objects, entered (new uploads), missed (of those, where no poll looks), lone_sidecars.
    """
    settings = read_settings()
    with bucket_environment(settings):
        path = tasks.find_params(settings, params, newest=False)
        found = vars(tasks.reconcile(settings, path))
    return {name: value for name, value in found.items() if not name.endswith("_at")}
