"""Where uploads are found and settled, for tests."""

from pathlib import Path

import pytest
from finding_site import Site

from hemaloop.storage import Bucket


@pytest.fixture
def site(any_bucket: Bucket, tmp_path: Path, request: pytest.FixtureRequest) -> Site:
    """Once on S3 with PostgreSQL, once on a folder with SQLite."""
    on_s3 = any_bucket.url.startswith("s3://")
    return Site(any_bucket, tmp_path, request.getfixturevalue("postgres").new_ledger() if on_s3 else "")


@pytest.fixture
def folder_site(tmp_path: Path) -> Site:
    """On a folder, where a test can say when an object was modified."""
    bucket = Bucket(f"file://{tmp_path}/bucket")
    bucket.create()
    return Site(bucket, tmp_path)
