"""A bucket that has had its ceremony."""

from pathlib import Path

import pytest
from release_site import Site, hold

from hemaloop.storage import Bucket


@pytest.fixture
def site(any_bucket: Bucket, tmp_path: Path) -> Site:
    """After the ceremony: 2 of anna, bob and chloe release."""
    return hold(any_bucket, tmp_path)


@pytest.fixture
def folder_site(tmp_path: Path) -> Site:
    """The same on a folder alone, for what needs many repositories or reads."""
    bucket = Bucket(f"file://{tmp_path}/bucket")
    bucket.create()
    return hold(bucket, tmp_path)
