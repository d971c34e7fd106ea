"""git and DVC through their command lines, one writer at a time in a folder."""

import fcntl
import logging
import os
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hemaloop.dataset.failures import failure
from hemaloop.errors import ConfigError, TransientError

log = logging.getLogger(__name__)

BOT = ("hemaloop bot", "bot@hemaloop.invalid")
KEPT_LINES = 2000  # of a command's output, for its error
THEN = ";"  # between DVC's commands
LOCK_POLL_SECONDS = 0.1

_GIT = (
    "git",
    "-c", "commit.gpgsign=false",
    "-c", "gc.autoDetach=false",  # nothing may go on in the background: it would keep the lock
    "-c", "advice.detachedHead=false",
)  # fmt: skip

_FAILED = "ended with an error: dvc "

# Several commands of DVC for one start of it, as its own `main` runs each; the first that fails ends them.
_DVC_COMMANDS = f"""\
import sys
from dvc.cli import main
commands = [part.split("\\n") for part in "\\n".join(sys.argv[1:]).split("\\n{THEN}\\n")]
for command in commands:
    code = main(command)
    if code:
        print("{_FAILED}" + " ".join(command[:3]), flush=True)
        sys.exit(code)
"""


@dataclass(frozen=True)
class Ended:
    code: int
    output: str  # stdout and stderr, the last KEPT_LINES


@contextmanager
def one_writer(lock: Path, seconds: float) -> Iterator[int]:
    """Hold the lock; yields its file descriptor, for children to inherit: one that outlives us still holds it.

    Raises:
        TransientError: somebody else held it for `seconds`.
    """
    lock.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(lock, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        _acquire(handle, lock, seconds)
        yield handle
    finally:
        os.close(handle)


def _acquire(handle: int, lock: Path, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            return fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() > deadline:
                raise TransientError(
                    f"{lock}: another process has been writing for {seconds:g} s: wait for it"
                ) from error
            time.sleep(LOCK_POLL_SECONDS)


class Commands:
    """Commands in one folder, by the holder of its lock."""

    def __init__(self, folder: Path, lock: int) -> None:
        self._folder = folder
        self._lock = lock

    def git(self, *arguments: str) -> str:
        """What git printed. Raises: ConfigError, TransientError."""
        ended = self.try_git(*arguments)
        if ended.code != 0:
            raise failure(f"git {arguments[0]}", ended.output)
        return ended.output.strip()

    def try_git(self, *arguments: str) -> Ended:
        return self._run([*_GIT, *arguments], logging.DEBUG)

    def dvc(self, *arguments: str) -> None:
        """One command, or several with THEN between them. Raises: ConfigError, TransientError."""
        ended = self._run([sys.executable, "-c", _DVC_COMMANDS, *arguments], logging.DEBUG, told=("dvc", *arguments))
        if ended.code != 0:
            output, _, failed = ended.output.rpartition(_FAILED)
            raise failure(f"dvc {failed.strip() or ' '.join(arguments[:3])}", output or ended.output)

    def try_dvc(self, *arguments: str, level: int = logging.DEBUG) -> Ended:
        return self._run([sys.executable, "-m", "dvc", *arguments], level)

    def _run(self, command: list[str], level: int, told: Sequence[str] = ()) -> Ended:
        log.debug("run in %s: %s", self._folder, " ".join(told or command))
        try:
            process = subprocess.Popen(
                command, cwd=self._folder, env=_environment(), pass_fds=(self._lock,), text=True, errors="replace",
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            )  # fmt: skip
        except FileNotFoundError as error:
            raise ConfigError(
                f"{command[0]} in {self._folder} cannot be run ({error}): install {command[0]}"
            ) from error
        kept: deque[str] = deque(maxlen=KEPT_LINES)
        assert process.stdout is not None
        try:
            for line in process.stdout:
                log.log(level, "%s", line.rstrip())
                kept.append(line)
        except BaseException:
            process.terminate()
            raise
        finally:
            process.stdout.close()
        return Ended(process.wait(), "".join(kept))


def _environment() -> dict[str, str]:
    """Ours; but `python` in a stage is this Python, git asks nothing, and what a git hook has set stays out."""
    hooks = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX")
    environment = {name: value for name, value in os.environ.items() if name not in hooks}
    name, address = BOT
    return environment | {
        "PATH": os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath))),
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_AUTHOR_NAME": name,
        "GIT_AUTHOR_EMAIL": address,
        "GIT_COMMITTER_NAME": name,
        "GIT_COMMITTER_EMAIL": address,
        "LC_ALL": "C.UTF-8",  # messages that failures.py can read
        "DVC_NO_ANALYTICS": "1",
        "PYTHONUNBUFFERED": "1",  # a stage's lines are seen as it prints them
    }
