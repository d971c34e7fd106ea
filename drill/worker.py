"""One ingest worker: forks a child for each run, and kills it (SIGKILL) when it was told to.

    python -m drill.worker PARAMS

Reads lines of JSON, {"keys": [...], "kill_after": seconds or null}; answers each with {"code": ...}. The fork comes
after the slow imports, so that a run costs what it does and no more.
"""

import json
import logging
import os
import signal
import sys
import time
from pathlib import Path

import great_expectations.expectations  # noqa: F401
import s3fs  # noqa: F401

import hemaloop.ingest.expectations  # noqa: F401
from drill.forks import fork
from hemaloop.config import read_settings
from hemaloop.errors import HemaloopError
from tasks.ingest_plain import ingest_plain

_WAIT_SECONDS = 0.02


def run(params: str, keys: list[str]) -> int:
    """One ingest run; its exit status."""
    try:
        ingest_plain(read_settings(), params, keys=keys)
    except HemaloopError as error:
        logging.warning("%s: %s", type(error).__name__, error)
        return error.exit_code
    return 0


def forked(params: str, keys: list[str], kill_after: float | None) -> int:
    """A run in a child; negative where it was killed."""
    child = fork(lambda: os._exit(run(params, keys)))
    deadline = time.monotonic() + kill_after if kill_after is not None else None
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        if deadline and time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)
            deadline = None
        time.sleep(_WAIT_SECONDS)


def main() -> None:
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(asctime)s %(name)s: %(message)s")
    params = str(Path(sys.argv[1]))
    print(json.dumps({"ready": os.getpid()}), flush=True)  # noqa: T201
    for line in sys.stdin:
        asked = json.loads(line)
        code = forked(params, asked["keys"], asked["kill_after"])
        print(json.dumps({"code": code}), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
