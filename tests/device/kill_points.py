"""Run an operation again and again, each time killed (SIGKILL) at a later change of the disk.

    python kill_points.py update|round TEMPLATE WORK STEP

TEMPLATE holds pi-1/ (a home) and bucket/ (a folder). For each point, WORK/<point>/ is a copy of it in which the
operation was killed; the next point is STEP changes later. Prints the first point that it did not reach.
Python tells of each change by an audit event, so the real code runs on the real disk. SQLite's own writes are not
told of, but each of its statements is: a kill falls before it.
"""

import os
import shutil
import signal
import sqlite3
import sys
import threading
import traceback
from pathlib import Path
from typing import NoReturn

import hemaloop.device.agent as agents
from hemaloop.device.home import Home, utc_now
from hemaloop.device.journal import Journal
from hemaloop.device.transport import open_transport
from hemaloop.device.updates.update import update

CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.symlink", "shutil.rmtree", "os.link", "os.truncate"}
WRITES = ("INSERT", "UPDATE", "DELETE", "COMMIT")


def main() -> None:
    operation, template, work, step = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4])
    point, killed = 1, True
    while killed:
        shutil.copytree(template, work / str(point), symlinks=True)
        child = os.fork()
        if child == 0:
            os.chdir(work / str(point))
            _run(operation, Path.cwd(), Killer(point))
        killed = _was_killed(child)
        point += step if killed else 0
    sys.stdout.write(str(point))


def _was_killed(child: int) -> bool:
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code not in (0, -signal.SIGKILL):
        sys.exit(f"the operation itself ended with {code}")
    return code != 0


def _run(operation: str, folder: Path, killer: "Killer") -> NoReturn:
    code = 1
    try:
        home = Home(folder / "pi-1")
        settings = home.read_settings()
        transport = open_transport(f"file://{folder}/bucket")
        with Journal(home.journal) as journal:
            killer.watch(journal._db)
            if operation == "update":
                update(home, settings, journal, transport, utc_now)
            else:
                agents.Agent(home, settings, journal, transport, utc_now, threading.Event()).round()
        code = 0
    finally:  # not through what the parent would do at its exit
        if code:
            traceback.print_exc()
        os._exit(code)


class Killer:
    """Counts what this process changes, and ends it at the given change."""

    def __init__(self, point: int) -> None:
        self._left = point
        sys.addaudithook(self._hear)

    def watch(self, connection: sqlite3.Connection) -> None:
        connection.set_trace_callback(lambda said: self._change() if said.lstrip().startswith(WRITES) else None)

    def _hear(self, event: str, args: tuple[object, ...]) -> None:
        writes = event == "open" and isinstance(args[2], int) and args[2] & (os.O_WRONLY | os.O_RDWR)
        if writes or event in CHANGES:
            self._change()

    def _change(self) -> None:
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main()
