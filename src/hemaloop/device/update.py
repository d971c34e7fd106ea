"""From one model to the next, without a moment in which there is none."""

import logging
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from hemaloop.device.home import Clock, DeviceSettings, Home
from hemaloop.device.journal import Journal
from hemaloop.device.repository import SignedReleases
from hemaloop.device.rules import Refuse, Stay, may_update
from hemaloop.device.self_test import run_apart
from hemaloop.device.slots import Slots
from hemaloop.device.transport import Transport
from hemaloop.errors import DataError, UntrustedError
from hemaloop.protocol.bundle import Bundle, unpack
from hemaloop.protocol.report import RefusedUpdate

log = logging.getLogger(__name__)

# The journal's notes of the last ones.
SELF_TEST = "self_test"
LAST_UPDATE = "last_update"


@dataclass(frozen=True)
class Updated:
    version: int
    previous: int | None
    latency_ms: float  # median of a golden image in the self-test

    def __str__(self) -> str:
        return f"updated to release {self.version} (before: {self.previous or 'none'})"


@dataclass(frozen=True)
class UpToDate:
    version: int

    def __str__(self) -> str:
        return f"release {self.version} is what the channel wants"


@dataclass(frozen=True)
class NothingReleased:
    channel: str

    def __str__(self) -> str:
        return f"nothing has been released on channel {self.channel} yet"


@dataclass(frozen=True)
class Refused:
    version: int | None  # None: the metadata itself was refused
    reason: str

    def __str__(self) -> str:
        return f"update refused: {self.reason}"


Outcome = Updated | UpToDate | NothingReleased | Refused


def update(home: Home, settings: DeviceSettings, journal: Journal, transport: Transport, clock: Clock) -> Outcome:
    """Run what the channel wants, if it may be trusted and works here; else keep what works.

    Raises:
        TransientError: the bucket cannot be reached; the next call continues the download.
        ConfigError: the bucket refuses us.
    """
    outcome = _update(home, settings, journal, transport, clock)
    journal.note(LAST_UPDATE, f"{clock().isoformat(timespec='seconds')} {outcome}")
    return outcome


def _update(home: Home, settings: DeviceSettings, journal: Journal, transport: Transport, clock: Clock) -> Outcome:
    slots = Slots(home.slots)
    wanted: int | None = None
    try:
        releases = SignedReleases(home, transport)
        channel = releases.channel(settings.channel)
        if channel is None:
            return NothingReleased(settings.channel)
        wanted = channel.version
        decision = may_update(slots.running(), wanted)
        if isinstance(decision, Stay):
            return UpToDate(wanted)
        if isinstance(decision, Refuse):
            raise UntrustedError(decision.reason)
        return _take(slots, releases.bundle(wanted), wanted, journal, clock())
    except (UntrustedError, DataError) as error:
        log.error("update refused: %s", error)
        journal.refuse(RefusedUpdate(clock(), wanted, str(error)))
        return Refused(wanted, str(error))


def _take(slots: Slots, path: Path, version: int, journal: Journal, at: datetime) -> Updated:
    before = slots.active()
    slot = slots.install(_read(path, version))
    tested = run_apart(slot)
    if tested.failure:
        journal.note(SELF_TEST, f"failed: release {version}: {tested.failure}")
        raise UntrustedError(f"release {version} failed its self-test: {tested.failure}")
    slots.switch(version, at)
    journal.note(SELF_TEST, "passed")
    # Kept until now, so that a release that fails its test is not downloaded again each time.
    path.unlink()
    log.info("release %d runs in slot %s", version, slot.name)
    return Updated(version, before.version if before else None, tested.latency_ms)


def _read(path: Path, version: int) -> Bundle:
    bundle = unpack(path.read_bytes())
    if bundle.release.version != version:
        raise UntrustedError(f"release {version}: its bundle says that it is release {bundle.release.version}")
    return bundle
