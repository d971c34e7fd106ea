"""Run an operation again and again, each time killed (SIGKILL) at a later change of the disk.

    python kill_points.py update|round TEMPLATE WORK STEP

TEMPLATE holds pi-1/ (a home) and bucket/ (a folder). For each point, WORK/<point>/ is a copy of it in which the
operation was killed; the next point is STEP changes later. Prints the first point that it did not reach.
Python tells of each change by an audit event, so the real code runs on the real disk. SQLite's own writes are not
told of: a kill falls between its transactions.
"""

import os
import shutil
import signal
import sys
import threading
from pathlib import Path

import hemaloop.device.agent as agents
from hemaloop.device.home import Home, utc_now
from hemaloop.device.journal import Journal
from hemaloop.device.transport import open_transport
from hemaloop.device.update import update

CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.symlink", "shutil.rmtree", "os.link"}


def main() -> None:
    operation, template, work, step = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4])
    point, ended = 1, False
    while not ended:
        shutil.copytree(template, work / str(point), symlinks=True)
        child = os.fork()
        if child == 0:
            os.chdir(work / str(point))
            _kill_at(point)
            _run(operation, Path.cwd())
            os._exit(0)
        ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) != -signal.SIGKILL
        point += 0 if ended else step
    sys.stdout.write(str(point))


def _run(operation: str, folder: Path) -> None:
    home = Home(folder / "pi-1")
    settings = home.read_settings()
    transport = open_transport(f"file://{folder}/bucket")
    with Journal(home.journal) as journal:
        if operation == "update":
            update(home, settings, journal, transport, utc_now)
        else:
            agents.Agent(home, settings, journal, transport, utc_now, threading.Event()).round()


def _kill_at(point: int) -> None:
    changes = 0

    def hook(event: str, args: tuple[object, ...]) -> None:
        nonlocal changes
        writes = event == "open" and isinstance(args[2], int) and args[2] & (os.O_WRONLY | os.O_RDWR)
        if writes or event in CHANGES:
            changes += 1
            if changes == point:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


if __name__ == "__main__":
    main()
