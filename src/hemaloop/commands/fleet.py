"""hemaloop fleet: the devices in the field, what they answer, and what is amiss."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.table import Table

    from hemaloop.ingest.fleet.survey import Fleet, SurveyedDevice, SurveyedModel

FAR_OFF_S = 300.0  # a newest report that is dated so far from its arrival waited, or its clock is wrong


def register(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser("fleet", help="the devices in the field, what they answer, and what is amiss")
    parser.add_argument("--params", type=Path, default=Path("params.yaml"), help="(default: %(default)s)")
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    status_ = actions.add_parser("status", help="devices, models beside their test images, what is amiss")
    status_.add_argument("--json", action="store_true", help="one JSON object")
    status_.set_defaults(run=status)
    actions.add_parser("collect", help="take in what devices have reported since").set_defaults(run=collect)


def status(args: argparse.Namespace) -> int:
    from datetime import UTC, datetime

    from hemaloop.config import read_section, read_settings
    from hemaloop.ingest.fleet.parameters import FleetParams
    from hemaloop.ingest.fleet.survey import plain_fleet, survey
    from hemaloop.ingest.ledger import Ledger

    params = read_section(args.params, "fleet", FleetParams)
    found = survey(Ledger(read_settings().ledger), params, datetime.now(UTC))
    if args.json:
        print(json.dumps(plain_fleet(found), ensure_ascii=False))
    else:
        _print(found)
    return 0


def collect(args: argparse.Namespace) -> int:
    from datetime import UTC, datetime

    from hemaloop.config import read_section, read_settings
    from hemaloop.embedded import bucket_environment, open_bucket
    from hemaloop.ingest.fleet.collecting import collect
    from hemaloop.ingest.fleet.parameters import FleetParams
    from hemaloop.ingest.ledger import Ledger

    params, settings = read_section(args.params, "fleet", FleetParams), read_settings()
    with bucket_environment(settings):
        found = collect(Ledger(settings.ledger), open_bucket(settings), params, datetime.now(UTC))
    print(f"{found.taken} new reports, {found.refused} refused")
    return 0


def _print(found: "Fleet") -> None:
    from rich.console import Console
    from rich.markup import escape

    console = Console()
    if not found.devices:
        console.print("no device has reported yet, or nobody has collected: `hemaloop fleet collect`")
        return
    console.print(_state_table(found.devices), _answers_table(found.devices), _models_table(found.models, found.days))
    for alarm in found.alarms:
        told = "retraining asked for" if alarm.told_at else "retraining not asked for yet"
        console.print(
            f"[red]{escape(alarm.subject)}, {alarm.kind}[/] since {alarm.opened_at:%Y-%m-%d %H:%M} UTC: "
            f"{escape(alarm.detail)} ({told})"
        )


def _state_table(devices: "tuple[SurveyedDevice, ...]") -> "Table":
    from rich.markup import escape
    from rich.table import Table

    table = Table(
        "device", "last seen, UTC", "channel", "version", "self-test", "probation", "remarks",
        title="Devices", title_justify="left",
    )  # fmt: skip
    for each in devices:
        device = each.device
        seen, version = f"{device.last_seen:%Y-%m-%d %H:%M}", f"{device.version or 'none'}"
        said = map(escape, (device.channel, version, device.self_test, device.probation))
        table.add_row(device.device, seen, *said, "\n".join(_remarks(each)))
    return table


def _remarks(found: "SurveyedDevice") -> "Iterator[str]":
    device = found.device
    if found.silent:
        yield "[red]silent[/]"
    if abs(device.clock_ahead_s) > FAR_OFF_S:
        yield f"dated {device.clock_ahead_s:+.0f} s from its arrival"
    if device.refused_reports:
        yield f"[red]{device.refused_reports} reports not believed[/]"
    if device.refused_updates:
        yield f"{device.refused_updates} updates refused"
    if device.dropped:
        yield f"{device.dropped} images dropped"


def _answers_table(devices: "tuple[SurveyedDevice, ...]") -> "Table":
    from rich.table import Table

    from hemaloop.ingest.fleet.survey import number

    table = Table(
        "device", "answered", "failures", "unreadable", "ms", "drift", "confidence", "traffic saved",
        title="What they answered", title_justify="left",
    )  # fmt: skip
    for each in devices:
        device = each.device
        counted = map(str, (device.classified, device.failures, device.unreadable))
        figures = (number(device.latency_ms, 1), number(each.shift.drift), number(each.shift.confidence))
        saved = "-" if device.traffic_saved is None else f"{device.traffic_saved:.0%}"
        table.add_row(device.device, *counted, *figures, saved)
    return table


def _models_table(models: "tuple[SurveyedModel, ...]", days: int) -> "Table":
    from rich.markup import escape
    from rich.table import Table

    from hemaloop.ingest.fleet.survey import number

    table = Table(
        "version", "devices", "images", "worth", "drift", "confidence", "below test images", "predicted",
        title=f"Models, last {days} days, beside their test images", title_justify="left",
    )  # fmt: skip
    for model in models:
        predicted = ", ".join(f"{label} {count}" for label, count in sorted(model.answers.predicted.items()))
        table.add_row(
            str(model.version), str(model.devices), str(model.shift.images), number(model.shift.worth, 0),
            number(model.shift.drift), number(model.shift.confidence), number(model.shift.confidence_drop),
            escape(predicted),
        )  # fmt: skip
    return table
