"""How a device is doing, from its own disk alone."""

from dataclasses import dataclass
from datetime import datetime

from hemaloop.device.home import DeviceSettings, Home
from hemaloop.device.journal import CLASSIFIED, UNREADABLE, UPLOADED, Journal
from hemaloop.device.slots import NAMES, Slots
from hemaloop.device.spool import Spool, Usage
from hemaloop.device.update import LAST_UPDATE, SELF_TEST
from hemaloop.protocol.report import RefusedUpdate


@dataclass(frozen=True)
class Status:
    id: str
    bucket: str
    channel: str
    version: int | None  # of the model that runs
    highest: int | None  # the newest version that ever ran here
    active_slot: str | None
    since: datetime | None
    slots: dict[str, int | None]  # slot -> version that lies there
    self_test: str  # "passed", "failed: why", "none"
    last_update: str
    spool: Usage
    uploaded: int  # images, in the device's whole life; the next two as well
    classified: int
    unreadable: int
    report_waits: bool  # one could not be sent yet
    refused_updates: tuple[RefusedUpdate, ...]  # the latest, reported or not


def read_status(home: Home, settings: DeviceSettings, journal: Journal) -> Status:
    slots = Slots(home.slots)
    active = slots.active()
    releases = {name: slots.release(name) for name in NAMES}
    return Status(
        id=settings.id,
        bucket=settings.bucket,
        channel=settings.channel,
        version=active.version if active else None,
        highest=active.highest if active else None,
        active_slot=active.slot if active else None,
        since=active.since if active else None,
        slots={name: release.version if release else None for name, release in releases.items()},
        self_test=journal.noted(SELF_TEST) or "none",
        last_update=journal.noted(LAST_UPDATE) or "none",
        spool=Spool(home.spool, settings.spool_bytes).usage(),
        uploaded=journal.total(UPLOADED),
        classified=journal.total(CLASSIFIED),
        unreadable=journal.total(UNREADABLE),
        report_waits=journal.unsent() is not None,
        refused_updates=journal.refusals(),
    )


def text(status: Status) -> str:
    """The same for a person."""
    lines = [
        f"device      {status.id}, channel {status.channel}, bucket {status.bucket}",
        f"model       {_model(status)}",
        f"self-test   {status.self_test}",
        f"last update {status.last_update}",
        f"spool       {status.spool.to_upload} to upload, {status.spool.to_classify} to classify, "
        f"{status.spool.bytes} of {status.spool.limit_bytes} bytes",
        f"images      {status.uploaded} uploaded, {status.classified} classified, {status.unreadable} unreadable",
        f"reports     {'one waits to be sent' if status.report_waits else 'all sent'}",
    ]
    lines += [f"refused     {each.at:%Y-%m-%d %H:%M} {each.reason}" for each in status.refused_updates]
    return "\n".join(lines)


def _model(status: Status) -> str:
    slots = ", ".join(f"{name}: {version or 'empty'}" for name, version in status.slots.items())
    if status.version is None:
        return f"none yet: run `hemaloop-device update` (slots {slots})"
    return f"release {status.version} in slot {status.active_slot} (slots {slots}; newest ever {status.highest})"
