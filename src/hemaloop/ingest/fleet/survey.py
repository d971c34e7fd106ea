"""The fleet on one page: devices, models beside their references, what is amiss."""

import dataclasses
import math
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from hemaloop.ingest.fleet.alarms import Alarm, open_alarms
from hemaloop.ingest.fleet.parameters import FleetParams
from hemaloop.ingest.fleet.shifts import Answers, Reference, Shift, shift, together
from hemaloop.ingest.fleet.table import Device, fleet, references, uses
from hemaloop.ingest.ledger import Ledger


@dataclass(frozen=True)
class SurveyedDevice:
    """A device, and its answers with the model that it runs now."""

    device: Device
    silent: bool
    answers: Answers
    shift: Shift


@dataclass(frozen=True)
class SurveyedModel:
    """A model in the field: all that it answered on all devices, beside its test images."""

    version: int
    devices: int  # that run it now
    answers: Answers
    shift: Shift
    reference: Reference | None


@dataclass(frozen=True)
class Fleet:
    at: datetime
    days: int  # of answers that were compared
    devices: tuple[SurveyedDevice, ...]
    models: tuple[SurveyedModel, ...]
    alarms: tuple[Alarm, ...]  # open ones, oldest first


def survey(ledger: Ledger, params: FleetParams, now: datetime) -> Fleet:
    """Read from the ledger alone."""
    used, known, devices = uses(ledger, now - params.judged), references(ledger), fleet(ledger)
    said = {(use.device, use.answers.version): use.answers for use in used}
    surveyed = [
        _device(
            device, said.get((device.device, device.version or 0), Answers(device.version or 0)), known, params, now
        )
        for device in devices
    ]
    models = {version: answers for version, answers in together(use.answers for use in used).items() if version}
    running = [device.version for device in devices]
    versions = sorted(models.keys() | {version for version in running if version})
    return Fleet(
        now,
        params.judged_days,
        tuple(surveyed),
        tuple(_model(models.get(each, Answers(each)), known.get(each), running.count(each)) for each in versions),
        tuple(open_alarms(ledger)),
    )


def _device(
    device: Device, answers: Answers, known: dict[int, Reference], params: FleetParams, now: datetime
) -> SurveyedDevice:
    silent = device.is_silent(params.silent_hours, now)
    return SurveyedDevice(device, silent, answers, shift(answers, known.get(answers.version)))


def _model(answers: Answers, reference: Reference | None, devices: int) -> SurveyedModel:
    return SurveyedModel(answers.version, devices, answers, shift(answers, reference), reference)


def plain_fleet(found: Fleet) -> dict[str, Any]:
    """As JSON has it."""
    return {
        "at": found.at.isoformat(),
        "days": found.days,
        "devices": [plain_device(each) for each in found.devices],
        "models": [plain_model(each) for each in found.models],
        "alarms": [plain_alarm(each) for each in found.alarms],
    }


def plain_device(found: SurveyedDevice) -> dict[str, Any]:
    device = found.device
    row = {name: _plain(value) for name, value in vars(device).items()}
    return {**row, "traffic_saved": device.traffic_saved, "silent": found.silent, **_plain_answers(found)}


def plain_model(found: SurveyedModel) -> dict[str, Any]:
    reference = None if found.reference is None else dataclasses.asdict(found.reference)
    return {"version": found.version, "devices": found.devices, **_plain_answers(found), "reference": reference}


def plain_alarm(alarm: Alarm) -> dict[str, Any]:
    return {name: _plain(value) for name, value in vars(alarm).items() if name != "id"}


def number(value: float | None, digits: int = 2) -> str:
    """For people: '-' where it is not known."""
    return "-" if value is None or math.isnan(value) else f"{value:.{digits}f}"


def _plain_answers(found: SurveyedDevice | SurveyedModel) -> dict[str, Any]:
    """Of the days that were compared; the sums of a device's life are named otherwise."""
    shifted = {name: _plain(getattr(found.shift, name)) for name in ("drift", "confidence", "confidence_drop")}
    answers = found.answers
    counted = {"predicted": answers.predicted, "worth": round(answers.worth, 1), "failed": answers.failed}
    return {**counted, **shifted}


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return None if isinstance(value, float) and math.isnan(value) else value
