"""A release side and a device, on a folder: quick, for what does not depend on the network."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from device_bench import Cloud, Pi, hold, new_pi

from hemaloop.device.journal import Journal
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
