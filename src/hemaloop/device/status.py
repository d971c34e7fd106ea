"""How a device is doing, from its own disk alone."""

import os
import shutil
from dataclasses import dataclass
from datetime import datetime

import hemaloop
from hemaloop.device.agent import LAST_PROBLEM
from hemaloop.device.capture.budget import PERIODS, Budget
from hemaloop.device.capture.capturing import LAST_FRAME
from hemaloop.device.capture.spool import Spool, Usage
from hemaloop.device.capture.uploading import BUDGET_SPENT, LAST_UPLOAD
from hemaloop.device.home import DeviceSettings, Home
from hemaloop.device.journal import (
    CLASSIFIED,
    DROPPED,
    FAILED,
    NOTHING_NEW,
    OUT_OF_FOCUS,
    SENT,
    SHOWN,
    UNREADABLE,
    UPLOADED,
    Journal,
)
from hemaloop.device.updates import probation
from hemaloop.device.updates.slots import NAMES, Slots
from hemaloop.device.updates.update import LAST_UPDATE, SELF_TEST
from hemaloop.protocol.report import RefusedUpdate


@dataclass(frozen=True)
class Capture:
    """From the camera to the bucket; what is counted, in the device's whole life."""

    camera: str | None
    last_frame: str | None  # when the camera showed something last
    frames: int
    nothing_new: int  # frames not sent, for what they show
    out_of_focus: int
    sent_bytes: int
    every_bytes: int  # that sending every frame would have cost
    dropped: int  # images given up because the disk's share was full
    last_upload: str | None
    budget_left: int | None  # bytes, of this hour or day; None: there is no budget
    waits_for_budget: bool


@dataclass(frozen=True)
class Disk:
    free_bytes: int
    writable: bool


@dataclass(frozen=True)
class Status:
    id: str
    agent: str  # version of hemaloop-device
    now: datetime  # by this device's clock
    bucket: str
    channel: str
    version: int | None  # of the model that runs
    highest: int | None  # the newest version that ever ran here
    active_slot: str | None
    since: datetime | None
    slots: dict[str, int | None]  # slot -> version that lies there
    self_test: str  # "passed", "failed: why", "none"
    probation: str
    last_update: str
    last_problem: str
    disk: Disk
    capture: Capture
    spool: Usage
    uploaded: int  # images, in the device's whole life; the next three as well
    classified: int
    unreadable: int
    failed: int  # that the model, not the image, gave no answer to
    report_waits: bool  # one could not be sent yet
    refused_updates: tuple[RefusedUpdate, ...]  # the latest, reported or not


def read_status(home: Home, settings: DeviceSettings, journal: Journal, now: datetime) -> Status:
    slots = Slots(home.slots)
    active = slots.active()
    releases = {name: slots.release(name) for name in NAMES}
    return Status(
        id=settings.id,
        agent=hemaloop.__version__,
        now=now,
        bucket=settings.bucket,
        channel=settings.channel,
        version=active.version if active else None,
        highest=active.highest if active else None,
        active_slot=active.slot if active else None,
        since=active.since if active else None,
        slots={name: release.version if release else None for name, release in releases.items()},
        self_test=journal.noted(SELF_TEST) or "none",
        probation=probation.text(active, journal),
        last_update=journal.noted(LAST_UPDATE) or "none",
        last_problem=journal.noted(LAST_PROBLEM) or "none",
        disk=Disk(shutil.disk_usage(home.folder).free, os.access(home.folder, os.W_OK)),
        capture=_capture(settings, journal, now),
        spool=Spool(home.spool, settings.spool_bytes).usage(),
        uploaded=journal.total(UPLOADED),
        classified=journal.total(CLASSIFIED),
        unreadable=journal.total(UNREADABLE),
        failed=journal.total(FAILED),
        report_waits=journal.unsent() is not None,
        refused_updates=journal.refusals(),
    )


def _capture(settings: DeviceSettings, journal: Journal, now: datetime) -> Capture:
    left = Budget(journal, settings.budget_bytes, PERIODS[settings.budget_per], lambda: now).left()
    return Capture(
        camera=settings.camera,
        last_frame=journal.noted(LAST_FRAME),
        frames=journal.total(SHOWN),
        nothing_new=journal.total(NOTHING_NEW),
        out_of_focus=journal.total(OUT_OF_FOCUS),
        sent_bytes=journal.total(f"{SENT} bytes"),
        every_bytes=journal.total(f"{SHOWN} bytes"),
        dropped=journal.total(DROPPED),
        last_upload=journal.noted(LAST_UPLOAD),
        budget_left=left.bytes if left else None,
        waits_for_budget=bool(journal.noted(BUDGET_SPENT)),
    )


def text(status: Status) -> str:
    """The same for a person."""
    capture = status.capture
    lines = [
        f"device      {status.id}, channel {status.channel}, bucket {status.bucket}",
        f"agent       {status.agent}; clock {status.now:%Y-%m-%d %H:%M:%S %Z}",
        f"model       {_model(status)}",
        f"self-test   {status.self_test}; probation {status.probation}",
        f"last update {status.last_update}",
        f"camera      {capture.camera or 'none'}; last frame {capture.last_frame or 'never'}",
        f"frames      {_frames(capture)}",
        f"uploads     {_uploads(status)}",
        f"spool       {status.spool.to_upload} to upload, {status.spool.to_classify} to classify, "
        f"{status.spool.bytes} of {status.spool.limit_bytes} bytes; {capture.dropped} given up",
        f"disk        {status.disk.free_bytes / 2**20:.0f} MiB free{'' if status.disk.writable else ', READ-ONLY'}",
        f"images      {status.uploaded} uploaded, {status.classified} classified, {status.unreadable} unreadable, "
        f"{status.failed} without an answer",
        f"reports     {'one waits to be sent' if status.report_waits else 'all sent'}",
        f"last problem {status.last_problem}",
    ]
    lines += [f"refused     {each.at:%Y-%m-%d %H:%M} {each.reason}" for each in status.refused_updates]
    return "\n".join(lines)


def _frames(capture: Capture) -> str:
    saved = ""
    if capture.every_bytes:
        saved = f"; {capture.sent_bytes / capture.every_bytes:.1%} of the traffic that sending every one would cost"
    return (
        f"{capture.frames} shown; not sent: {capture.nothing_new} show nothing new, "
        f"{capture.out_of_focus} out of focus{saved}"
    )


def _uploads(status: Status) -> str:
    capture = status.capture
    left = "" if capture.budget_left is None else f", {capture.budget_left} bytes of the budget left"
    waits = " (spent: images wait for the next hour or day)" if capture.waits_for_budget else ""
    return f"last {capture.last_upload or 'never'}{left}{waits}"


def _model(status: Status) -> str:
    slots = ", ".join(f"{name}: {version or 'empty'}" for name, version in status.slots.items())
    if status.version is None:
        return f"none yet: run `hemaloop-device update` (slots {slots})"
    return f"release {status.version} in slot {status.active_slot} (slots {slots}; newest ever {status.highest})"
