"""Reports of the devices become a table, in the ledger and on Prefect's page."""

from typing import Any

from prefect import flow
from prefect.artifacts import create_table_artifact

from hemaloop.config import read_settings
from hemaloop.embedded import bucket_environment
from tasks.fleet import collect_reports, summarise_fleet


@flow(name="fleet", log_prints=False)
def fleet() -> dict[str, Any]:
    """Collect what devices reported since the last time; a row a device."""
    with bucket_environment(read_settings()):
        new = collect_reports()
        devices = summarise_fleet()
    if devices:
        create_table_artifact(table=devices, key="fleet", description="What each device last said of itself")
    return {"new_reports": new, "devices": devices}
