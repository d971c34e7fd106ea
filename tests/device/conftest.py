"""A release side and a device, on a folder: quick, for what does not depend on the network."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from attack_bench import copied, follow
from device_bench import Cloud, Pi, hold, new_pi
from hostile_store import HostileStore

from hemaloop.device.journal import Journal
from hemaloop.device.updates.slots import Active
from hemaloop.storage import Bucket


@pytest.fixture
def folder_bucket(tmp_path: Path) -> Bucket:
    bucket = Bucket(f"file://{tmp_path}/bucket")
    bucket.create()
    return bucket


@pytest.fixture
def cloud(folder_bucket: Bucket, tmp_path: Path) -> Cloud:
    return hold(folder_bucket, tmp_path / "keys")


@pytest.fixture
def pi(cloud: Cloud, tmp_path: Path) -> Iterator[Pi]:
    home = new_pi(cloud, tmp_path / "pi-1")
    with Journal(home.journal) as journal:
        yield Pi(home, home.read_settings(), journal)


@pytest.fixture(scope="session")
def released_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Bucket, keys and device after release 1: copied for each test, for the self-test of a release takes its time."""
    folder = tmp_path_factory.mktemp("before")
    bucket = Bucket(f"file://{folder}/bucket")
    bucket.create()
    cloud = hold(bucket, folder / "keys")
    home = new_pi(cloud, folder / "pi")
    with Journal(home.journal) as journal:
        follow(cloud, Pi(home, home.read_settings(), journal), 1)
    return folder


@pytest.fixture
def cloud_of_one(released_once: Path, tmp_path: Path) -> Cloud:
    """After release 1."""
    for name in ("bucket", "keys"):
        shutil.copytree(released_once / name, tmp_path / name)
    return Cloud(Bucket(f"file://{tmp_path}/bucket"), tmp_path / "keys/offline", tmp_path / "keys/online")


@pytest.fixture
def pi_of_one(cloud_of_one: Cloud, released_once: Path, tmp_path: Path) -> Iterator[Pi]:
    """A device that runs release 1."""
    yield from copied(released_once, tmp_path / "pi", cloud_of_one.bucket.url)


@pytest.fixture
def running(pi_of_one: Pi) -> Active:
    """Release 1, which runs on the device."""
    active = pi_of_one.slots.active()
    assert active is not None
    return active


@pytest.fixture
def store(cloud_of_one: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HostileStore]:
    """Serves the bucket's folder over S3."""
    with HostileStore(tmp_path / "bucket") as store:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{store.server_port}")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        yield store


@pytest.fixture
def far(released_once: Path, store: HostileStore, tmp_path: Path) -> Iterator[Pi]:
    """The same device, but it reads the bucket from the store."""
    yield from copied(released_once, tmp_path / "far", "s3://bucket")
