"""Work in a fork of this process: to be killed, or to leave nothing behind in it."""

import os
import sys
from collections.abc import Callable


def fork(work: Callable[[], object]) -> int:
    """Begin it in a child, which ends with 0, or with 1 after an exception; the child's process id."""
    child = os.fork()
    if child == 0:
        try:
            work()
            os._exit(0)
        except BaseException:  # noqa: BLE001 - a fork must not go on as its parent
            sys.excepthook(*sys.exc_info())
            os._exit(1)
    return child


def in_child(work: Callable[[], object]) -> int:
    """Do it in a child; its exit status, negative for a signal."""
    return os.waitstatus_to_exitcode(os.waitpid(fork(work), 0)[1])
