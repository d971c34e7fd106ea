"""A Dask cluster of processes that know the bucket and nothing else of this installation."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from hemaloop.embedded import free_port


@contextmanager
def cluster(folder: Path, workers: int = 2) -> Iterator[str]:
    """A scheduler and some workers of one thread each, in a folder of their own; the scheduler's address."""
    port = free_port()
    address = f"tcp://127.0.0.1:{port}"
    with ExitStack() as running:
        _start(running, folder, "scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard")
        for _ in range(workers):
            _start(running, folder, "worker", address, "--nthreads", "1", "--no-nanny", "--no-dashboard")
        _wait_for(address, workers)
        yield address


def _start(running: ExitStack, folder: Path, *arguments: str) -> None:
    known = {name: value for name, value in os.environ.items() if not name.startswith(("HEMALOOP_", "PREFECT_"))}
    log = running.enter_context((folder / "dask.log").open("ab"))
    command = [sys.executable, "-W", "ignore", "-m", "dask", *arguments]
    process = subprocess.Popen(command, cwd=folder, env=known, stdout=log, stderr=log)
    running.callback(process.wait, 30)
    running.callback(process.terminate)


def _wait_for(address: str, workers: int) -> None:
    from distributed import Client

    deadline = time.monotonic() + 60
    while True:
        try:
            with Client(address, timeout=5, set_as_default=False) as client:
                return client.wait_for_workers(workers, timeout=60)
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
