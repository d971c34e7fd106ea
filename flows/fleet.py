"""Reports of the devices become a table, in the ledger and on Prefect's page; what is amiss starts a training."""

from pathlib import Path
from typing import Any

from prefect import flow
from prefect.logging import get_run_logger

from flows.asking import ask
from flows.fleet_artifacts import show
from hemaloop.config import bucket_url, read_section, read_settings
from hemaloop.embedded import bucket_environment
from hemaloop.errors import HemaloopError
from hemaloop.ingest.fleet.alarms import Alarm
from hemaloop.ingest.fleet.collecting import Collected
from hemaloop.ingest.fleet.parameters import FleetParams
from tasks.fleet import collect_reports, judge_fleet, learn_references, note_told, plain_rows, survey_fleet


@flow(name="fleet", log_prints=False)
def fleet(params: str = "params.yaml") -> dict[str, Any]:
    """Collect what devices reported since the last time, and judge it; a row a device.

    Returns:
        new_reports, refused_reports, devices (rows), alarms (open ones, a line each), asked (whether a training was).
    """
    section, settings = read_section(Path(params), "fleet", FleetParams), read_settings()
    with bucket_environment(settings):
        new = collect_reports(section)
    learnt = learn_references(section)
    changed = judge_fleet(section)
    found = survey_fleet(section)
    if changed or learnt or new != Collected():
        show(found)
    return {
        "new_reports": new.taken,
        "refused_reports": new.refused,
        "devices": plain_rows(found),
        "alarms": [_line(alarm) for alarm in found.alarms],
        "asked": _ask(bucket_url(settings), [alarm for alarm in found.alarms if alarm.told_at is None]),
    }


def _ask(bucket: str, untold: list[Alarm]) -> bool:
    """What cannot be told now is told by the next run."""
    if not untold:
        return False
    for alarm in untold:
        get_run_logger().warning("%s", _line(alarm))
    try:
        asked = ask(bucket, [_line(alarm) for alarm in untold])
    except HemaloopError as error:  # reports were collected all the same
        get_run_logger().warning("retraining cannot be asked for: %s", error)
        return False
    if asked:
        note_told(untold)
    return asked


def _line(alarm: Alarm) -> str:
    return f"{alarm.subject}, {alarm.kind}: {alarm.detail}"
