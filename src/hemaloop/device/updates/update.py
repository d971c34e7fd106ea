"""From one model to the next, without a moment in which there is none."""

import logging
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from hemaloop.device.home import Clock, DeviceSettings, Home
from hemaloop.device.journal import Journal
from hemaloop.device.transport import Transport
from hemaloop.device.updates import look, probation
from hemaloop.device.updates.look import Look
from hemaloop.device.updates.probation import Verdict
from hemaloop.device.updates.repository import SignedReleases
from hemaloop.device.updates.rules import Refuse, Running, Stay, Take, may_run_beside, may_update
from hemaloop.device.updates.self_test import SelfTest, run_apart
from hemaloop.device.updates.slots import Active, Slots
from hemaloop.errors import DataError, UntrustedError
from hemaloop.protocol.bundle import Bundle, unpack
from hemaloop.protocol.channel import wanted_version
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
class Avoided:
    """It is not taken: it is halted, or failed here. Or it is halted or revoked, and runs for want of another."""

    version: int
    reason: str

    def __str__(self) -> str:
        return self.reason


@dataclass(frozen=True)
class Returned:
    version: int
    reason: str

    def __str__(self) -> str:
        return f"back to release {self.version}: {self.reason}"


@dataclass(frozen=True)
class Refused:
    version: int | None  # None: the metadata itself was refused
    reason: str

    def __str__(self) -> str:
        return f"update refused: {self.reason}"


Outcome = Updated | UpToDate | NothingReleased | Avoided | Returned | Refused


def update(home: Home, settings: DeviceSettings, journal: Journal, transport: Transport, clock: Clock) -> Outcome:
    """Run what the channel wants, if it may be trusted and works here; else keep what works.

    Raises:
        TransientError: the bucket cannot be reached, or the disk is too full; the next call continues the download.
        ConfigError: the bucket refuses us.
    """
    outcome = _Update(home, settings, journal, transport, clock).run()
    journal.note(LAST_UPDATE, f"{clock().isoformat(timespec='seconds')} {outcome}")
    return outcome


class _Update:
    """One look for an update, and what follows from it."""

    def __init__(
        self, home: Home, settings: DeviceSettings, journal: Journal, transport: Transport, clock: Clock
    ) -> None:
        self._home = home
        self._settings = settings
        self._journal = journal
        self._transport = transport
        self._clock = clock
        self._slots = Slots(home.slots)
        self._asked: int | None = None  # the version in question, once the channel has named it

    def run(self) -> Outcome:
        running = self._slots.running()
        known = self._known(running)
        if known is not None:
            return known
        look.forget(self._journal)
        try:
            outcome, settled = self._follow(SignedReleases(self._home, self._transport, self._now()))
        except (UntrustedError, DataError) as error:
            log.error("update refused: %s", error)
            self._journal.refuse(RefusedUpdate(self._clock(), self._asked, str(error)))
            return Refused(self._asked, str(error))
        if settled and isinstance(outcome, UpToDate | Avoided):
            reason = outcome.reason if isinstance(outcome, Avoided) else ""
            version = running.version if running else None
            look.remember(self._journal, Look(self._clock(), self._settings.channel, version, outcome.version, reason))
        return outcome

    def _known(self, running: Running | None) -> Outcome | None:
        """The last outcome, where it still holds: it costs one request of some hundred bytes."""
        before = look.last(self._journal)
        if before is None or running is None or not running.intact:
            return None
        if (before.channel, before.running) != (self._settings.channel, running.version):
            return None
        if not look.still_holds(before, self._home, self._transport, self._now()):
            return None
        return Avoided(before.wanted, before.reason) if before.reason else UpToDate(before.wanted)

    def _now(self) -> datetime:
        """A clock that lies before the making of what runs here, which is signed, is wrong: the later one counts."""
        active, now = self._slots.active(), self._clock()
        release = self._slots.release(active.slot) if active else None
        return max(now, release.created_at) if release else now

    def _follow(self, releases: SignedReleases) -> tuple[Outcome, bool]:
        """What came of it, and whether nothing is left to do until the metadata change."""
        halted, revoked = releases.halted(), releases.revoked()
        barred = halted | revoked
        running = self._slots.running()
        why = "" if running is None else _why_not(running.version, halted, revoked)
        back = self._leave(why, barred) if why else None
        if back is not None:
            return back, False
        channel = releases.channel(self._settings.channel)
        if channel is None:
            return self._nothing_named(running, why), False
        self._asked = wanted = wanted_version(channel, self._settings.id)
        if wanted in revoked:  # an honest server takes its name out of the channels
            raise UntrustedError(f"channel {channel.name} names release {wanted}, which its approvers revoked")
        decision = may_update(running, wanted, barred)
        if isinstance(decision, Refuse):
            raise UntrustedError(decision.reason)
        if isinstance(decision, Take):
            return self._take(releases.bundle(wanted), wanted, channel.probation_images), False
        settled = self._beside(releases, channel.shadow, barred)
        outcome = UpToDate(wanted) if isinstance(decision, Stay) else Avoided(wanted, decision.reason)
        return outcome, settled

    def _nothing_named(self, running: Running | None, why: str) -> Outcome:
        channel = self._settings.channel
        if running is None or not why:
            return NothingReleased(channel)
        return Avoided(running.version, f"{why}, and goes on, for channel {channel} names no other")

    def _leave(self, why: str, barred: frozenset[int]) -> Returned | None:
        """Away from what no device may run; one that has nothing else goes on with it, for it must answer."""
        done = probation.go_back(self._slots, self._journal, self._clock(), why, failed=False, barred=barred)
        active = self._slots.active()
        return Returned(active.version, why) if done and active else None

    def _take(self, path: Path, version: int, images: int) -> Updated:
        bundle = _read(path, version)
        before = self._slots.active()
        if before is not None and self._on_probation(before) and version > before.version:
            # The idle slot holds what has proved itself: the newer one takes the place of the one that has not.
            probation.go_back(self._slots, self._journal, self._clock(), f"release {version} is wanted", failed=False)
        slot = self._slots.install(bundle)
        tested = self._test(slot, version)
        self._slots.switch(version, self._clock(), images)
        self._journal.note(SELF_TEST, "passed")
        # Kept until now, so that a release that fails its test is not downloaded again each time.
        path.unlink()
        log.info("release %d runs in slot %s", version, slot.name)
        return Updated(version, before.version if before else None, tested.latency_ms)

    def _test(self, slot: Path, version: int) -> SelfTest:
        tested = run_apart(slot)
        if tested.failure:
            self._journal.note(SELF_TEST, f"failed: release {version}: {tested.failure}")
            raise UntrustedError(f"release {version} failed its self-test: {tested.failure}")
        return tested

    def _beside(self, releases: SignedReleases, shadow: int | None, barred: frozenset[int]) -> bool:
        """Let the shadow that the channel asks for answer beside the active model, or end it; False: later."""
        active, running = self._slots.active(), self._slots.running()
        if active is None or running is None:
            return True
        idle = self._slots.idle()
        runs = idle[0].version if idle and idle[0].shadow else None
        if shadow is None or not may_run_beside(running, shadow, barred):
            self._slots.end_beside()
            return True
        if shadow == runs:
            return True
        if self._on_probation(active):
            return False
        self._asked = shadow
        path = releases.bundle(shadow)
        tested = run_apart(self._slots.install(_read(path, shadow)))
        path.unlink()
        if tested.failure:
            failure = f"release {shadow} failed its self-test: {tested.failure}"
            self._journal.refuse(RefusedUpdate(self._clock(), shadow, failure))
            self._slots.avoid(shadow, failure)
            return True
        self._slots.run_beside(shadow)
        log.info("release %d answers beside release %d", shadow, active.version)
        return True

    def _on_probation(self, active: Active) -> bool:
        return probation.verdict(active, self._journal) in (Verdict.RUNNING, Verdict.FAILED)


def _why_not(version: int, halted: frozenset[int], revoked: frozenset[int]) -> str:
    """Why a version may run on no device; "": it may."""
    if version in revoked:
        return f"release {version} is revoked"
    return f"release {version} is halted" if version in halted else ""


def _read(path: Path, version: int) -> Bundle:
    bundle = unpack(path.read_bytes())
    if bundle.release.version != version:
        raise UntrustedError(f"release {version}: its bundle says that it is release {bundle.release.version}")
    return bundle
