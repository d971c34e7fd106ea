"""Notifications of a short time become one wake-up; what cannot be handed over is kept, within bounds.

One key stands for all of its folder: a run that is woken lists the folder of each key, whole.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hemaloop.errors import TransientError

log = logging.getLogger(__name__)

# Hands keys over as hints. False: a run that was woken before has not begun yet, and will see what has arrived;
# hold the hints until it has. Raises: TransientError: nobody is there to be woken.
Wake = Callable[[tuple[str, ...]], bool]


@dataclass(frozen=True)
class Times:
    """How long things take, in seconds."""

    gather: float = 1.0  # from the first notification to the wake-up
    wait: float = 5.0  # between two wake-ups, and before asking again whether a woken run has begun
    longest: float = 30.0  # between two tries while nobody is there


@dataclass(frozen=True)
class Bounds:
    """How much is kept."""

    event: int = 500  # keys in one wake-up: 165 KB, of the 512 KB that Prefect lets a run's parameters have
    held: int = 10_000  # keys in memory


@dataclass(frozen=True)
class _Notice:
    keys: tuple[str, ...]
    handed_over: Callable[[], None] | None


class Gathering:
    """Keys on their way to the one who is to be woken. `add` from any thread; `run` in one."""

    def __init__(self, wake: Wake, times: Times | None = None, bounds: Bounds | None = None) -> None:
        self._wake = wake
        self._times = times or Times()
        self._bounds = bounds or Bounds()
        self._notices: deque[_Notice] = deque()
        self._held: dict[str, int] = {}  # folder -> in how many notices
        self._lock = threading.Lock()
        self._news = threading.Event()
        self._closing = threading.Event()
        self._failures = 0  # in a row

    @property
    def away(self) -> bool:
        """Whether the last try found nobody."""
        return self._failures > 0

    @property
    def held(self) -> int:
        """Folders of which there is a key in memory."""
        return len(self._held)

    @property
    def has_room(self) -> bool:
        """Whether to fetch more: nothing to be gained from a queue while nobody takes what we have."""
        return not self.away and self.held < self._bounds.event

    def add(self, keys: Sequence[str], handed_over: Callable[[], None] | None = None) -> bool:
        """Keep keys for the next wake-up, and say whether they are as good as handed over.

        False: nobody is there (the keys are kept all the same), or memory is full (they are not): notify again.
        `handed_over` is called once they are, in another thread.
        """
        with self._lock:
            new = [key for folder, key in _of_each_folder(keys).items() if handed_over or folder not in self._held]
            if self.held + len(new) > self._bounds.held:
                return False
            for start in range(0, len(new), self._bounds.event):
                part = new[start : start + self._bounds.event]
                self._append(part, handed_over if part[-1] == new[-1] else None)
        self._news.set()
        return not self.away

    def run(self) -> None:
        """Hand over what is gathered, until closed."""
        while not self._closing.is_set():
            self._news.wait()
            self._closing.wait(self._times.gather)
            self._closing.wait(self.hand_over())
        self.hand_over()

    def close(self) -> None:
        """Let `run` try once more, and end."""
        self._closing.set()
        self._news.set()

    def hand_over(self) -> float:
        """Try one wake-up; the seconds to wait before the next."""
        notices = self._first()
        keys = tuple(_of_each_folder([key for notice in notices for key in notice.keys]).values())
        try:
            taken = not keys or self._wake(keys)
        except TransientError as error:
            return self._failed(error)
        if self._failures:
            log.warning("Prefect answers again; %d hints wait", self.held)
        self._failures = 0
        if taken:
            self._drop(notices)
        return self._times.wait if keys else 0.0

    def _append(self, keys: list[str], handed_over: Callable[[], None] | None) -> None:
        self._notices.append(_Notice(tuple(keys), handed_over))
        for folder in _of_each_folder(keys):
            self._held[folder] = self._held.get(folder, 0) + 1

    def _first(self) -> list[_Notice]:
        """The oldest notices that fit into one wake-up."""
        found: list[_Notice] = []
        room = self._bounds.event
        with self._lock:
            for notice in self._notices:
                room -= len(notice.keys)
                if room < 0:
                    break
                found.append(notice)
        return found

    def _drop(self, notices: list[_Notice]) -> None:
        with self._lock:
            for notice in notices:
                self._notices.popleft()
                for folder in _of_each_folder(notice.keys):
                    self._held[folder] -= 1
                    if not self._held[folder]:
                        del self._held[folder]
            if not self._notices and not self._closing.is_set():
                self._news.clear()
        for notice in notices:
            if notice.handed_over is not None:
                notice.handed_over()

    def _failed(self, error: TransientError) -> float:
        if not self._failures:
            log.warning("%s; %d hints are kept, and tried again", error, self.held)
        self._failures += 1
        return min(float(2**self._failures), self._times.longest)


def _of_each_folder(keys: Sequence[str]) -> dict[str, str]:
    """Folder -> the last key of it."""
    return {key.rpartition("/")[0]: key for key in keys}
