"""The most memory that this process has had, alone or with those that it started."""

import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

EVERY_SECONDS = 0.2


def peak_mb() -> float:
    """In MB, as Linux tells it. Not getrusage's figure: that one begins with the parent's peak."""
    return _status_mb("self", "VmHWM")


@contextmanager
def family_peak() -> Iterator[list[float]]:
    """MB of this process and of all that it starts in the block, and they in turn: the most that was seen at once.

    Pages that several of them share count for each. The list's one value grows as long as the block runs.
    """
    found, ended, before = [0.0], threading.Event(), set(_descendants(os.getpid()))

    def look() -> None:
        while not ended.wait(EVERY_SECONDS):
            family = set(_descendants(os.getpid())) - before
            found[0] = max(found[0], _status_mb("self", "VmRSS") + sum(_resident_mb(pid) for pid in family))

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        ended.set()
        thread.join()


def _descendants(pid: int) -> Iterator[int]:
    for task in Path(f"/proc/{pid}/task").glob("*"):  # a thread's children are its process's
        try:
            children = (task / "children").read_text().split()
        except (FileNotFoundError, ProcessLookupError):  # it has just ended
            continue
        for child in map(int, children):
            yield child
            yield from _descendants(child)


def _resident_mb(pid: int) -> float:
    try:
        # Not yet what it is to be: until then, it shows all of its parent's pages as its own.
        begun = Path(f"/proc/{pid}/cmdline").read_bytes() != Path("/proc/self/cmdline").read_bytes()
        return _status_mb(str(pid), "VmRSS") if begun else 0.0
    except (FileNotFoundError, ProcessLookupError):  # it has just ended
        return 0.0


def _status_mb(process: str, name: str) -> float:
    text = Path(f"/proc/{process}/status").read_text()
    found = re.search(rf"^{name}:\s+(\d+) kB$", text, re.MULTILINE)
    if found:
        return int(found[1]) / 1024
    if name == "VmRSS":  # of a process that has ended and was not waited for
        return 0.0
    raise RuntimeError(f"/proc/{process}/status has no {name}: this benchmark needs Linux")
