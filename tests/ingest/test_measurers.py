"""Processes that measure: what they answer, and that none outlives whom it answers."""

import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bench.images import speckles
from hemaloop.errors import TransientError
from hemaloop.ingest.measurers import Measurers
from hemaloop.ingest.measuring import Chunk, measure_chunk
from hemaloop.ingest.records import Upload
from hemaloop.ingest.states import State
from hemaloop.protocol.keys import UploadKey
from hemaloop.storage import Bucket

pytestmark = pytest.mark.slow

NOW = datetime(2026, 11, 21, tzinfo=UTC)
PARENT = """
import pickle, sys, time
from hemaloop.ingest.measurers import Measurers
pool = Measurers(1)
pool.measure(pickle.load(sys.stdin.buffer))
print("measured", flush=True)
time.sleep(600)
"""


@pytest.fixture
def chunk(tmp_path: Path) -> Chunk:
    """Three pictures and a broken one, on a bucket that is a folder."""
    bucket = Bucket(f"file://{tmp_path}/bucket")
    bucket.create()
    contents = [speckles(1), speckles(2), speckles(3)[:200], speckles(4)]
    uploads = []
    for number, data in enumerate(contents):
        key = str(UploadKey("pi-1", NOW.date(), f"c{number}"))
        bucket.write(key, data)
        stored = next(iter(bucket.list(key)))
        uploads.append(Upload(number, bucket.url, key, stored.etag, stored.size, stored.modified, State.CLAIMED))
    return Chunk(bucket.url, tuple(uploads), (), 10**9, None)


@pytest.fixture
def pool() -> Iterator[Measurers]:
    measurers = Measurers(1)
    yield measurers
    measurers.close()


def test_another_process_finds_what_this_one_finds(chunk: Chunk, pool: Measurers) -> None:
    assert pool.measure(chunk) == measure_chunk(chunk)


def test_one_that_dies_is_told_and_another_takes_its_place(chunk: Chunk, pool: Measurers) -> None:
    pool.measure(chunk)
    (child,) = _children(os.getpid(), "hemaloop.ingest.measurers")
    os.kill(child, signal.SIGKILL)
    with pytest.raises(TransientError, match="is gone"):
        pool.measure(chunk)
    assert pool.measure(chunk) == measure_chunk(chunk)


def test_its_errors_are_raised_here_and_it_goes_on(chunk: Chunk, pool: Measurers) -> None:
    with pytest.raises(NotADirectoryError, match="nowhere"):
        pool.measure(replace(chunk, staged=Path("/dev/null/nowhere")))
    assert pool.measure(chunk) == measure_chunk(chunk)


def test_none_outlives_its_parent(chunk: Chunk) -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdin is not None
        assert parent.stdout is not None
        pickle.dump(chunk, parent.stdin)
        parent.stdin.close()
        assert parent.stdout.readline() == b"measured\n"
        (child,) = _children(parent.pid, "hemaloop.ingest.measurers")
        parent.kill()
    deadline = time.monotonic() + 10
    while _is_alive(child) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _is_alive(child)


def test_one_that_measured_for_the_dead_ends_without_a_word(chunk: Chunk) -> None:
    command = [sys.executable, "-m", "hemaloop.ingest.measurers"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe) as process:
        assert process.stdout is not None
        process.stdout.close()
        _, said = process.communicate(pickle.dumps(chunk))
    assert (process.returncode, said) == (0, b"")


def _children(pid: int, module: str) -> list[int]:
    """A process's children that run a module."""
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    children = [int(child) for task in tasks for child in task.read_text().split()]
    return [child for child in children if module in Path(f"/proc/{child}/cmdline").read_text()]


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
