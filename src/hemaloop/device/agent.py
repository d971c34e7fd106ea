"""What a device does, round after round: capture, upload, update, classify, report.

Each step goes on where it stopped, and none stops another: a device without a network still classifies,
and one that refuses an update still uploads.
"""

import logging
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

import hemaloop
from hemaloop.device.answering import Answering
from hemaloop.device.capture.budget import PERIODS, Budget
from hemaloop.device.capture.capturing import Capturing
from hemaloop.device.capture.spool import Spool
from hemaloop.device.capture.uploading import upload
from hemaloop.device.disk import explain
from hemaloop.device.home import Clock, DeviceSettings, Home
from hemaloop.device.journal import CLASSIFIED, FAILED, UNREADABLE, UPLOADED, Counts, Journal, UnsentReport
from hemaloop.device.transport import Transport
from hemaloop.device.updates import probation
from hemaloop.device.updates import update as updates
from hemaloop.device.updates.slots import Active, Slots
from hemaloop.errors import HemaloopError, TransientError, UntrustedError
from hemaloop.protocol.documents import encode
from hemaloop.protocol.keys import report_key
from hemaloop.protocol.report import Report

log = logging.getLogger(__name__)

REPORTED = "reported"  # the journal's note: when, and what the device was like
LAST_PROBLEM = "last_problem"  # the journal's note
ALIVE_SECONDS = 30.0  # the watchdog hears of us at least as often while we wait
REPORT_EVERY = timedelta(hours=1)  # at least


@dataclass(frozen=True)
class Round:
    """What one round did."""

    captured: int
    uploaded: int
    update: str
    classified: int
    reported: int
    problems: tuple[HemaloopError, ...]

    @property
    def exit_code(self) -> int:
        """The gravest problem's: what must not be believed, what a person must mend, what passes by itself."""
        codes = [problem.exit_code for problem in self.problems]
        return next((code for code in (5, 2, 3, 1, 75) if code in codes), 0)


class Agent:
    def __init__(
        self,
        home: Home,
        settings: DeviceSettings,
        journal: Journal,
        transport: Transport,
        clock: Clock,
        stopping: threading.Event,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`tell`: what systemd is told; see hemaloop.device.systemd."""
        self._home = home
        self._settings = settings
        self._journal = journal
        self._transport = transport
        self._clock = clock
        self._stopping = stopping
        self._tell = tell
        self._spool = Spool(home.spool, settings.spool_bytes)
        self._budget = Budget(journal, settings.budget_bytes, PERIODS[settings.budget_per], clock)
        self._capturing = Capturing(home, settings, journal, self._spool, self._budget, clock)
        self._slots = Slots(home.slots)
        self._problems: list[HemaloopError] = []
        self._update = "not looked for"
        self._answering = Answering(home, settings, journal, clock)

    def run(self, every_seconds: float) -> None:
        """Round after round until `stopping` is set."""
        self._tell("READY=1")
        while not self._stopping.is_set():
            done = self.round()
            said = f"captured {done.captured}, uploaded {done.uploaded}, classified {done.classified}; {done.update}"
            log.info("%s", said)
            self._tell(f"STATUS={said}")
            self._wait(every_seconds)
        self._tell("STOPPING=1")

    def _wait(self, seconds: float) -> None:
        """Alive all the while."""
        for _ in range(int(seconds // ALIVE_SECONDS)):
            self._tell("WATCHDOG=1")
            if self._stopping.wait(ALIVE_SECONDS):
                return
        self._stopping.wait(seconds % ALIVE_SECONDS)

    def round(self) -> Round:
        """One round. What fails is in its problems; it has been logged."""
        self._problems = []
        self._update = "not looked for"
        try:
            with self._home.locked():
                done = [self._run(step) for step in self._steps()]
        except (TransientError, OSError) as error:
            self._problem(explain(error, self._home.folder) if isinstance(error, OSError) else error)
            return Round(0, 0, self._update, 0, 0, tuple(self._problems))
        captured, uploaded, _, classified, reported = done
        return Round(captured, uploaded, self._update, classified, reported, tuple(self._problems))

    def _steps(self) -> tuple[Iterator[None], ...]:
        return self._capture(), self._upload(), self._look_for_update(), self._classify(), self._report()

    def _run(self, step: Iterator[None]) -> int:
        """How often a step got something done before it ended, failed, or was told to stop."""
        done = 0
        try:
            while not self._stopping.is_set():
                self._tell("WATCHDOG=1")
                next(step)
                done += 1
        except StopIteration:
            pass
        except HemaloopError as error:
            self._problem(error)
        except (OSError, sqlite3.OperationalError) as error:  # a disk that is full, or read-only
            self._problem(explain(error, self._home.folder))
        return done

    def _problem(self, error: HemaloopError) -> None:
        log.warning("%s", error)
        self._problems.append(error)
        with suppress(sqlite3.OperationalError):  # what the disk does not take has been logged
            self._journal.note(LAST_PROBLEM, f"{self._clock().isoformat(timespec='seconds')} {error}")

    def _capture(self) -> Iterator[None]:
        return self._capturing.capture(self._problem)

    def _upload(self) -> Iterator[None]:
        """A live camera is not kept waiting for longer than it was looked at."""
        seconds = self._settings.camera_seconds if self._capturing.is_live() else None
        return upload(self._spool, self._journal, self._transport, self._budget, self._clock, seconds)

    def _look_for_update(self) -> Iterator[None]:
        outcome = updates.update(self._home, self._settings, self._journal, self._transport, self._clock)
        self._update = str(outcome)
        if isinstance(outcome, updates.Refused):
            raise UntrustedError(str(outcome))
        yield

    def _classify(self) -> Iterator[None]:
        waiting = self._spool.to_classify()
        if not waiting or self._slots.active() is None:
            return
        for image in waiting:
            if self._is_classified(image.stem) or self._answering.answer(image):
                self._spool.classified(image)
                yield

    def _report(self) -> Iterator[None]:
        """An old report that could not be sent goes first, as it was: sent twice, it is still one report."""
        self._settle()
        old = self._journal.unsent()
        for report in [old] if old else []:
            self._send(report)
            yield
        if self._report_is_due():
            self._send(self._journal.close_report(self._clock(), self._write_report))
            yield

    def _report_is_due(self) -> bool:
        """With news; else once an hour, so that the fleet knows of us. An idle round sends nothing."""
        active = self._slots.active()
        last = self._journal.noted(REPORTED)
        if last is None or self._journal.has_news():
            return True
        at, _, state = last.partition(" ")
        # The distance, not the order: a clock that was set back must not silence the device.
        return state != self._state(active) or abs(self._clock() - datetime.fromisoformat(at)) >= REPORT_EVERY

    def _state(self, active: Active | None) -> str:
        """What a report is worth by itself."""
        tested = self._journal.noted(updates.SELF_TEST)
        return f"{active.version if active else None}, {tested}, {probation.text(active, self._journal)}"

    def _send(self, report: UnsentReport) -> None:
        self._transport.put(report.key, report.body)
        self._journal.sent(report.key)

    def _write_report(self, counts: Counts, at: datetime) -> UnsentReport:
        active = self._slots.active()
        report = Report(
            device=self._settings.id,
            at=at,
            agent=hemaloop.__version__,
            model_version=active.version if active else None,
            self_test=self._journal.noted(updates.SELF_TEST) or "none",
            uploaded=counts.uploaded,
            classified=counts.classified,
            unreadable=counts.unreadable,
            latency_ms=counts.latency_ms,
            refused_updates=counts.refused,
            channel=self._settings.channel,
            probation=probation.text(active, self._journal),
            failures=counts.failures,
            confidence=counts.confidence,
            answers=counts.answers,
            shadow=counts.shadow,
            traffic=counts.traffic,
            dropped=counts.dropped,
        )
        self._journal.note(REPORTED, f"{at.isoformat()} {self._state(active)}")
        return UnsentReport(report_key(report.device, at), encode(report))

    def _settle(self) -> None:
        """Move on what was counted and not moved when we were killed: once a report has taken
        the counts, the journal no longer knows that these were counted."""
        for spooled in self._spool.to_upload():
            if self._journal.has_counted(UPLOADED, spooled.capture):
                self._spool.uploaded(spooled)
        for image in self._spool.to_classify():
            if self._is_classified(image.stem):
                self._spool.classified(image)

    def _is_classified(self, capture: str) -> bool:
        return any(self._journal.has_counted(kind, capture) for kind in (CLASSIFIED, UNREADABLE, FAILED))
