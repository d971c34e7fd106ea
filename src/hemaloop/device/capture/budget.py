"""How many bytes may go up, and how good a picture they pay for.

Time is that of a clock that nobody sets: a wall clock that jumps moves no window. It is asked only for how long the
device was off, and believed only as far as one window.
"""

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

from hemaloop.device.home import Clock
from hemaloop.device.journal import Journal

PERIODS = {"hour": 3600.0, "day": 86400.0}  # seconds
BEST, WORST = 90, 50  # JPEG quality; the cloud refuses what lies below 30

_NOTE = "budget"


@dataclass(frozen=True)
class Window:
    """The running hour or day."""

    elapsed: float = 0.0  # seconds
    spent: int = 0  # bytes


@dataclass(frozen=True)
class Left:
    bytes: int
    seconds: float


def advance(window: Window, seconds: float, period: float) -> Window:
    """The window so many seconds later: the same, or a fresh one."""
    elapsed = window.elapsed + max(0.0, seconds)
    return Window(elapsed, window.spent) if elapsed < period else Window(elapsed % period, 0)


def quality(budget_left: int, seconds_left: float, budget: int, period: float) -> int:
    """The JPEG quality, WORST to BEST, that what is left of a budget pays for.

    The best as long as no more was spent than an even pace would have; the worst once only half is left of what
    should be; evenly in between. So a device that sends much sends smaller pictures, before it must send none.
    """
    due = budget * seconds_left / period
    share = budget_left / due if due > 0 else 1.0
    return round(WORST + (BEST - WORST) * min(1.0, max(0.0, 2 * share - 1)))


class Budget:
    """Bytes that may go up in an hour or a day; None: as many as there are."""

    def __init__(
        self,
        journal: Journal,
        limit: int | None,
        period: float,
        clock: Clock,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._journal, self._limit, self._period = journal, limit, period
        self._clock, self._now = clock, now
        self._at = now()
        self._window = self._remembered()

    def left(self) -> Left | None:
        """None without a budget."""
        if self._limit is None:
            return None
        self._move()
        return Left(max(0, self._limit - self._window.spent), self._period - self._window.elapsed)

    def quality(self) -> int | None:
        """The JPEG quality to send with; None: send what the camera gave."""
        left = self.left()
        if left is None or self._limit is None:
            return None
        return quality(left.bytes, left.seconds, self._limit, self._period)

    def pays(self, count: int) -> bool:
        """Whether so many bytes may go now; what is larger than the whole budget goes at a window's start."""
        left = self.left()
        return left is None or count <= left.bytes or left.bytes == self._limit

    def spend(self, count: int) -> None:
        """Before they are sent: what was cut off cost bytes too."""
        if self._limit is not None:
            self._move()
            self._window = Window(self._window.elapsed, self._window.spent + count)
            note = {**asdict(self._window), "wall": self._clock().timestamp()}
            self._journal.note(_NOTE, json.dumps(note))

    def _move(self) -> None:
        now = self._now()
        self._window, self._at = advance(self._window, now - self._at, self._period), now

    def _remembered(self) -> Window:
        if not (noted := self._journal.noted(_NOTE)):
            return Window()
        values = json.loads(noted)
        off = min(self._period, max(0.0, self._clock().timestamp() - values["wall"]))
        return advance(Window(values["elapsed"], values["spent"]), off, self._period)
