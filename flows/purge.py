"""Purge quarantine of what nobody released in its time."""

from datetime import UTC, datetime, timedelta
from typing import Any

from prefect import flow

from flows.ingest_artifacts import remove_pictures
from hemaloop.config import read_section, read_settings
from hemaloop.embedded import bucket_environment
from hemaloop.ingest.parameters import QuarantineParams
from tasks import ingest as tasks


@flow(name="purge")
def purge(params: str | None = None) -> dict[str, Any]:
    """Take the bytes and pictures of what has been in quarantine for longer than `quarantine.keep_days`.

    Args:
        params: path of a params.yaml; by default that of the newest revision.
    """
    settings = read_settings()
    with bucket_environment(settings):
        path = tasks.find_params(settings, params, newest=True)
        purged = tasks.purge(settings, path)
    keep = timedelta(days=read_section(path, "quarantine", QuarantineParams).keep_days)
    tables = remove_pictures(datetime.now(UTC) - keep)
    return {"uploads": purged.uploads, "bytes": purged.bytes, "tables": tables}
