"""From the camera to the spool."""

import logging
from collections.abc import Callable, Iterator

from hemaloop.device.capture.budget import Budget
from hemaloop.device.capture.cameras.choosing import choose_camera
from hemaloop.device.capture.cameras.frame import Frame
from hemaloop.device.capture.dropping import Waiting
from hemaloop.device.capture.frames import Choice, Chooser
from hemaloop.device.capture.spool import Spool, capture_id
from hemaloop.device.home import Clock, DeviceSettings, Home
from hemaloop.device.journal import DROPPED, SHOWN, Journal
from hemaloop.errors import DataError, HemaloopError, TransientError

log = logging.getLogger(__name__)

LAST_FRAME = "last_frame"  # the journal's note


class Capturing:
    """One camera, and the choice of its frames."""

    def __init__(
        self, home: Home, settings: DeviceSettings, journal: Journal, spool: Spool, budget: Budget, clock: Clock
    ) -> None:
        self._home, self._settings, self._journal = home, settings, journal
        self._spool, self._budget, self._clock = spool, budget, clock
        self._camera = choose_camera(settings, journal, clock)
        self._chooser: Chooser | None = None

    def is_live(self) -> bool:
        """Whether what is not taken now is gone."""
        return self._camera is not None and not self._camera.keeps

    def capture(self, problem: Callable[[HemaloopError], None]) -> Iterator[None]:
        """Spool what is to be sent; yields once for each such frame.

        Raises:
            ConfigError: the camera is not there, or cannot do what device.toml asks of it.
            TransientError: the spool is full, and the camera keeps its frames.
        """
        self._spool.sweep()
        if self._camera is None:
            return
        if self._chooser is None:
            self._chooser = Chooser(self._home.seen, self._settings, self.is_live())
        for frame in self._camera.frames():
            self._journal.note(LAST_FRAME, self._clock().isoformat(timespec="seconds"))
            choice = self._chooser.choose(frame, self._budget.quality())
            self._journal.count_bytes(SHOWN, capture_id(frame), len(frame.data))
            if choice.not_sent:
                self._journal.count_bytes(choice.not_sent, capture_id(frame), len(frame.data))
                self._camera.deliver(frame)
            elif self._spooled(choice, problem):
                self._chooser.sent(choice)
                self._camera.deliver(frame)
                yield

    def _spooled(self, choice: Choice, problem: Callable[[HemaloopError], None]) -> bool:
        drops = self._settings.drop_when_full
        worth = choice.worth if (self.is_live() if drops is None else drops) else None
        try:
            self._spool.add(choice.frame, self._settings, worth, self._give_up)
        except DataError as error:
            problem(error)  # this frame's own fault; the next may fit
            return False
        except TransientError as error:
            if not self.is_live():
                raise
            self._lose(choice.frame)
            problem(error)
            return False
        return True

    def _give_up(self, waiting: Waiting) -> None:
        """Counted before it goes: a kill between the two counts one too many, never one too few."""
        self._journal.count_bytes(DROPPED, waiting.capture, waiting.bytes)

    def _lose(self, frame: Frame) -> None:
        log.warning("spool of %s is full: a frame of %s is lost", self._settings.id, frame.captured_at.isoformat())
        self._journal.count_bytes(DROPPED, capture_id(frame), len(frame.data))
