"""What is amiss in the field: found by rule, opened and closed in the ledger, and told once."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import insert, select, update

from hemaloop.ingest.drift import surely
from hemaloop.ingest.fleet.parameters import FleetParams
from hemaloop.ingest.fleet.shifts import Answers, Reference, shift, together
from hemaloop.ingest.fleet.table import Device, Use
from hemaloop.ingest.ledger import Ledger
from hemaloop.ingest.schema import alarms

DRIFT, CONFIDENCE, FAILURES, SELF_TEST, PROBATION = "drift", "confidence", "failures", "self-test", "probation"

# What is amiss already stays so down to this share of its limit: at the limit itself it would come and go.
RELEASE = 0.5


@dataclass(frozen=True)
class Finding:
    """Something amiss."""

    subject: str  # device:<name> or version:<number>
    kind: str
    detail: str


@dataclass(frozen=True)
class Alarm:
    """A finding, from when to when."""

    id: int
    subject: str
    kind: str
    detail: str
    opened_at: datetime
    closed_at: datetime | None
    told_at: datetime | None  # when the retrain flow was asked for


def judge(
    devices: Sequence[Device],
    uses: Sequence[Use],
    references: Mapping[int, Reference],
    params: FleetParams,
    open_already: Collection[tuple[str, str]] = (),
) -> list[Finding]:
    """What is amiss: on each device with the model that it runs now, and with each model on all devices.

    Args:
        open_already: subject and kind of what was amiss before.
    """
    running = {device.device: device.version for device in devices}
    judged = [(f"device:{use.device}", use.answers) for use in uses if running.get(use.device) == use.answers.version]
    judged += [(f"version:{version}", said) for version, said in together(use.answers for use in uses).items()]
    found = [
        finding
        for subject, said in judged
        for finding in _of_answers(subject, said, references.get(said.version), params, open_already)
    ]
    return [*found, *(finding for device in devices for finding in _of_device(device))]


def _of_answers(
    subject: str,
    said: Answers,
    reference: Reference | None,
    params: FleetParams,
    open_already: Collection[tuple[str, str]],
) -> Iterator[Finding]:
    moved = shift(said, reference)
    failed = surely(said.failed, said.images + said.failed)
    values = (
        (DRIFT, moved.drift, params.drift, "classes' shares are {:.2f} from those on test images"),
        (CONFIDENCE, moved.confidence_drop, params.confidence_drop, "mean confidence is {:.2f} below test images'"),
        (FAILURES, failed, params.failures, "{:.0%} of images get no answer"),
    )
    for kind, value, limit, words in values:
        if value > limit * (RELEASE if (subject, kind) in open_already else 1):  # NaN is not
            detail = f"version {said.version}: {words.format(value)}, for sure, over {said.images + said.failed} images"
            yield Finding(subject, kind, detail)


def _of_device(device: Device) -> Iterator[Finding]:
    for kind, text in ((SELF_TEST, device.self_test), (PROBATION, device.probation)):
        if text.startswith(("failed", "returned")):  # of probation: failed, where no model could come back
            yield Finding(f"device:{device.device}", kind, f"version {device.version}: {text}")


def open_alarms(ledger: Ledger) -> list[Alarm]:
    """What is amiss now, oldest first."""
    query = select(alarms).where(alarms.c.closed_at.is_(None)).order_by(alarms.c.id)
    with ledger.reading() as connection:
        return [Alarm(**row._mapping) for row in connection.execute(query)]


def keep(ledger: Ledger, found: Sequence[Finding], now: datetime) -> bool:
    """Open what is newly amiss, close what is no longer; whether anything changed."""
    wanted = {(finding.subject, finding.kind): finding for finding in found}
    with ledger.writing() as connection:
        rows = connection.execute(select(alarms).where(alarms.c.closed_at.is_(None))).all()
        known = {(row.subject, row.kind): row.id for row in rows}
        over = [id_ for key, id_ in known.items() if key not in wanted]
        new = [{**vars(finding), "opened_at": now} for key, finding in wanted.items() if key not in known]
        if over:
            connection.execute(update(alarms).where(alarms.c.id.in_(over)).values(closed_at=now))
        if new:
            connection.execute(insert(alarms), new)
    return bool(over or new)


def note_told(ledger: Ledger, told: Sequence[Alarm], now: datetime) -> None:
    with ledger.writing() as connection:
        connection.execute(update(alarms).where(alarms.c.id.in_([each.id for each in told])).values(told_at=now))
