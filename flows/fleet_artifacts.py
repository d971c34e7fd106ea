"""What a run of the fleet flow leaves on Prefect's page: a table of devices, and what models answered, as a picture."""

import math

from prefect.artifacts import create_markdown_artifact, create_table_artifact

from flows.ingest_artifacts import plain
from hemaloop.ingest.fleet.pictures import data_uri, shares
from hemaloop.ingest.fleet.survey import Fleet, SurveyedDevice, SurveyedModel, number

SHOWN_BARS = 30  # devices in the picture; those that drifted most come first


def show(found: Fleet) -> None:
    """A table, a row a device; and a page of what models answered, and what is amiss."""
    if not found.devices:
        return
    rows = [_row(each) for each in found.devices]
    create_table_artifact(table=rows, key="fleet", description="What each device last said of itself")
    amiss = f"{len(found.alarms)} amiss" if found.alarms else "nothing amiss"
    create_markdown_artifact(markdown(found), key="fleet-answers", description=f"{len(rows)} devices, {amiss}")


def _row(found: SurveyedDevice) -> dict[str, str | int]:
    device = found.device
    return {
        "device": device.device,
        "last seen": f"{device.last_seen:%Y-%m-%d %H:%M} UTC" + (", silent" if found.silent else ""),
        "channel": device.channel,
        "version": "none" if device.version is None else device.version,
        "self-test": device.self_test,
        "probation": device.probation,
        "latency, ms": number(device.latency_ms, 1),
        "answered": device.classified,
        "drift": number(found.shift.drift),
        "confidence": number(found.shift.confidence),
        "failures": device.failures,
        "refused updates": device.refused_updates,
        "refused reports": device.refused_reports,
        "traffic saved": "-" if device.traffic_saved is None else f"{device.traffic_saved:.0%}",
    }


def markdown(found: Fleet) -> str:
    """The picture is in it, as a data: URI."""
    lines = [f"# Answers of the last {found.days} days beside those on test images", ""]
    lines += [f"- **{plain(alarm.subject)}**, {alarm.kind}: {plain(alarm.detail)}" for alarm in found.alarms]
    lines += ["", f"![predicted classes]({data_uri(shares(_bars(found)))})", ""]
    lines += [
        "| version | devices | images | worth | drift | confidence | below test images |",
        "|---|---|---|---|---|---|---|",
    ]
    return "\n".join([*lines, *(_model_row(each) for each in found.models), ""])


def _bars(found: Fleet) -> list[tuple[str, dict[str, int]]]:
    """Each model's test images, what it answered on all devices, and on each one."""
    bars: list[tuple[str, dict[str, int]]] = []
    for model in found.models:
        if model.reference is not None:
            bars.append((f"version {model.version}: test images", model.reference.predicted))
        bars.append((f"version {model.version}: all devices", model.answers.predicted))
    answering = [each for each in found.devices if each.answers.images]
    answering.sort(key=lambda each: (-_or_zero(each.shift.drift), each.device.device))
    return bars + [(each.device.device, each.answers.predicted) for each in answering[:SHOWN_BARS]]


def _model_row(model: SurveyedModel) -> str:
    shift = model.shift
    figures = (number(shift.drift), number(shift.confidence), number(shift.confidence_drop))
    cells = (model.version, model.devices, shift.images, number(shift.worth, 0), *figures)
    return "| " + " | ".join(map(str, cells)) + " |"


def _or_zero(value: float) -> float:
    return 0.0 if math.isnan(value) else value
