"""What devices report, and what is amiss with them."""

import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from prefect import task

from hemaloop.config import Settings, read_settings
from hemaloop.embedded import open_bucket
from hemaloop.errors import ConfigError
from hemaloop.ingest.drift import worth
from hemaloop.ingest.fleet import alarms, collecting, survey, table
from hemaloop.ingest.fleet.parameters import FleetParams
from hemaloop.ingest.fleet.shifts import Reference
from hemaloop.ingest.ledger import Ledger
from tasks.retry import RETRY

log = logging.getLogger(__name__)


@task(**RETRY)
def collect_reports(params: FleetParams) -> collecting.Collected:
    """Take new reports from the bucket into the ledger; how many, and how many were not believed."""
    settings = read_settings()
    return collecting.collect(Ledger(settings.ledger), open_bucket(settings), params, datetime.now(UTC))


@task(**RETRY)
def learn_references(params: FleetParams) -> list[int]:
    """Fetch from MLflow what models in the field answered on their test images; the versions that are new."""
    settings = read_settings()
    ledger = Ledger(settings.ledger)
    known = table.references(ledger)
    missing = [each for each in table.versions_in_use(ledger, datetime.now(UTC) - params.judged) if each not in known]
    found = [reference for number in missing if (reference := _reference(settings, number)) is not None]
    for reference in found:
        table.keep_reference(ledger, reference)
    return [reference.version for reference in found]


def _reference(settings: Settings, number: int) -> Reference | None:
    place = settings.mlflow.removeprefix("sqlite:///")
    if place != settings.mlflow and not Path(place).exists():
        return None  # MLflow would make its tables, which takes seconds
    from hemaloop.registry.reference import answered_test

    try:
        found = answered_test(settings.mlflow, number)
    except ConfigError as error:
        log.warning("a device says that it runs %d: %s", number, error)
        return None
    if found is None:
        return None
    return Reference(number, found.revision, found.predicted, found.labels, worth(found.groups), found.confidence)


@task(**RETRY)
def judge_fleet(params: FleetParams) -> bool:
    """Open and close alarms by the rules; whether any changed."""
    ledger, now = Ledger(read_settings().ledger), datetime.now(UTC)
    before = {(alarm.subject, alarm.kind) for alarm in alarms.open_alarms(ledger)}
    uses = table.uses(ledger, now - params.judged)
    found = alarms.judge(table.fleet(ledger), uses, table.references(ledger), params, before)
    return alarms.keep(ledger, found, now)


@task(**RETRY)
def survey_fleet(params: FleetParams) -> survey.Fleet:
    """Everything that `hemaloop fleet status` shows."""
    return survey.survey(Ledger(read_settings().ledger), params, datetime.now(UTC))


@task(**RETRY)
def note_told(told: list[alarms.Alarm]) -> None:
    """Remember that the retrain flow was asked for."""
    alarms.note_told(Ledger(read_settings().ledger), told, datetime.now(UTC))


def plain_rows(found: survey.Fleet) -> list[dict[str, Any]]:
    """A row a device, as JSON has it."""
    return [survey.plain_device(each) for each in found.devices]
