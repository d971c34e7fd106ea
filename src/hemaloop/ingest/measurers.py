"""Processes that measure chunks, for rounds that are worth starting them for.

Reading objects is mostly Python, and one process runs Python in one thread at a time: threads alone keep one processor
busy. A process here reads chunks from its standard input and answers on its standard output; its input ends when its
parent does, however that dies, and then so does it.
"""

import os
import pickle
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from hemaloop.errors import TransientError
from hemaloop.ingest.measuring import Chunk, Measured, measure_chunk

_COMMAND = (sys.executable, "-m", "hemaloop.ingest.measurers")

Process = subprocess.Popen[bytes]


class Measurers:
    """Up to `count` processes, each started when it is first needed; any number of threads may ask."""

    def __init__(self, count: int) -> None:
        self._places: queue.LifoQueue[Process | None] = queue.LifoQueue()
        self._count = count
        for _ in range(count):
            self._places.put(None)

    def measure(self, chunk: Chunk) -> list[Measured]:
        """What `measure_chunk` returns or raises there.

        Raises:
            TransientError: the process died; another will take its place.
        """
        process = self._places.get()
        try:
            process = process or subprocess.Popen(_COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            answer = _ask(process, chunk)
        except BaseException as error:
            code, process = _kill(process), None
            if isinstance(error, (OSError, EOFError, pickle.UnpicklingError)):
                raise TransientError(
                    f"the process that measured {chunk.first} and on is gone (exit code {code}): was it out of memory?"
                ) from error
            raise
        finally:
            self._places.put(process)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def close(self) -> None:
        """End them, once each has answered."""
        for _ in range(self._count):
            if process := self._places.get():
                process.communicate()


class _Shared:
    """The one pool of this process; closed when nobody is inside `measurers` any more."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._pool: Measurers | None = None

    def enter(self) -> Measurers:
        with self._lock:
            self._users += 1
            self._pool = self._pool or Measurers(processors())
            return self._pool

    def leave(self) -> None:
        with self._lock:
            self._users -= 1
            if not self._users and self._pool:
                self._pool.close()
                self._pool = None


_shared = _Shared()


@contextmanager
def measurers() -> Iterator[Measurers]:
    """The pool of this process: whoever comes while another is inside shares it, and the last one closes it."""
    pool = _shared.enter()
    try:
        yield pool
    finally:
        _shared.leave()


def processors() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _ask(process: Process, chunk: Chunk) -> list[Measured] | Exception:
    assert process.stdin is not None
    assert process.stdout is not None
    pickle.dump(chunk, process.stdin)
    process.stdin.flush()
    answer: list[Measured] | Exception = pickle.load(process.stdout)
    return answer


def _kill(process: Process | None) -> int | None:
    if process is None:
        return None
    process.kill()
    process.communicate()
    return process.returncode


def main() -> None:
    """Answer chunk after chunk, until the input ends."""
    chunks, answers = sys.stdin.buffer, os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what anything prints must not be taken for an answer
    while (chunk := _next(chunks)) is not None:
        try:
            answer: list[Measured] | Exception = measure_chunk(chunk)
        except Exception as error:  # noqa: BLE001 whatever it is: it is raised where the chunk came from
            answer = error
        try:
            pickle.dump(answer, answers)
            answers.flush()
        except BrokenPipeError:  # whoever asked has died: nobody is told
            os._exit(0)  # nor can what is left in the buffer be written


def _next(chunks: IO[bytes]) -> Chunk | None:
    try:
        chunk: Chunk = pickle.load(chunks)
    except EOFError:
        return None
    return chunk


if __name__ == "__main__":
    main()
