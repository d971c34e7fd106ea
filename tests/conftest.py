"""Real components for every test: a bucket on a real S3 server, and one on a folder."""

import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from postgres_server import Postgres, running_postgres

from hemaloop.embedded import Server, environment, running
from hemaloop.storage import Bucket

# A machine that is busy with something else is no failure: an example may take as long as it takes.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first; else in the order that was drawn."""
    items.sort(key=lambda item: item.get_closest_marker("longest") is None)


@pytest.fixture(scope="session")
def bucket_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A real S3 server on loopback; the environment points at it for the whole session."""
    with running(tmp_path_factory.mktemp("bucket-server")) as server, environment(server.environment()):
        yield server


@pytest.fixture
def bucket(bucket_server: Server) -> Bucket:
    """An empty s3:// bucket of its own."""
    bucket = Bucket(f"s3://test-{uuid.uuid4().hex[:12]}")
    bucket.create()
    return bucket


@pytest.fixture(params=["s3", "file"])
def any_bucket(request: pytest.FixtureRequest, tmp_path: Path) -> Bucket:
    """An empty bucket, once on S3 and once on a folder."""
    if request.param == "s3":
        found: Bucket = request.getfixturevalue("bucket")
        return found
    bucket = Bucket(f"file://{tmp_path}/bucket")
    bucket.create()
    return bucket


@pytest.fixture(scope="session")
def test_images() -> Path:
    """The folder of real images."""
    folder = os.environ.get("HEMALOOP_TEST_DATA")
    if not folder:
        pytest.skip("HEMALOOP_TEST_DATA is not set: no real images")
    return Path(folder)


@pytest.fixture(scope="session")
def prefect_harness() -> Iterator[None]:
    """A Prefect server of the session's own, for flows; it takes half a minute to start."""
    from prefect.testing.utilities import prefect_test_harness

    with prefect_test_harness(server_startup_timeout=180):
        yield


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A real PostgreSQL, of the session's own."""
    with running_postgres() as server:
        yield server


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def new_ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], str]:
    """Makes addresses of empty ledgers: once on SQLite, and once on a real PostgreSQL."""
    if request.param == "postgresql":
        server: Postgres = request.getfixturevalue("postgres")
        return server.new_ledger
    return lambda: f"sqlite:///{tmp_path}/ledgers/{uuid.uuid4().hex[:12]}.db"


@pytest.fixture
def ledger_url(new_ledger: Callable[[], str]) -> str:
    """The address of an empty ledger: once on SQLite, and once on a real PostgreSQL."""
    return new_ledger()
