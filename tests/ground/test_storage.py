"""s3:// and file:// behave alike, and what goes wrong says what to do."""

import os
from pathlib import Path

import pytest

from hemaloop.config import read_settings
from hemaloop.embedded import Server, bucket_environment, open_bucket, running
from hemaloop.errors import ConfigError, TransientError
from hemaloop.storage import Bucket

pytestmark = pytest.mark.slow


def test_what_was_written_is_read(any_bucket: Bucket) -> None:
    any_bucket.write("a/b/c.jpg", b"one")
    any_bucket.write("a/b/c.jpg", b"two")
    assert any_bucket.read("a/b/c.jpg") == b"two"
    assert any_bucket.exists("a/b/c.jpg")
    assert not any_bucket.exists("a/b/d.jpg")


def test_listing_gives_keys_below_the_prefix_in_order(any_bucket: Bucket) -> None:
    for key in ("a/2.jpg", "a/1/x.jpg", "ab/3.jpg", "b/4.jpg"):
        any_bucket.write(key, key.encode())
    assert [found.key for found in any_bucket.list("a/")] == ["a/1/x.jpg", "a/2.jpg"]
    assert list(any_bucket.list("nothing/")) == []


def test_an_overwritten_object_has_another_etag(any_bucket: Bucket) -> None:
    any_bucket.write("a/x", b"1")
    before = next(any_bucket.list("a/"))
    any_bucket.write("a/x", b"2")
    after = next(any_bucket.list("a/"))
    assert (before.key, before.size) == (after.key, after.size)
    assert before.etag != after.etag


def test_copy_and_delete(any_bucket: Bucket) -> None:
    any_bucket.write("a/x", b"1")
    any_bucket.copy("a/x", "b/deep/x")
    any_bucket.delete("a/x")
    any_bucket.delete("a/x")  # deleting again is no error
    assert not any_bucket.exists("a/x")
    assert any_bucket.read("b/deep/x") == b"1"


def test_reading_many_tells_what_is_missing(any_bucket: Bucket) -> None:
    any_bucket.write("a/x", b"1")
    any_bucket.write("a/empty", b"")
    assert any_bucket.read_many(["a/x", "a/empty", "a/none"]) == {"a/x": b"1", "a/empty": b"", "a/none": None}
    assert any_bucket.read_many(["a/none"]) == {"a/none": None}
    assert any_bucket.read_many(["a/x"]) == {"a/x": b"1"}
    assert any_bucket.read_many([]) == {}


def test_reading_what_is_not_there(any_bucket: Bucket) -> None:
    with pytest.raises(FileNotFoundError):
        any_bucket.read("a/none")


def test_a_bucket_that_is_not_there_says_so(bucket_server: Server, tmp_path: Path) -> None:
    for url in ("s3://no-such-bucket", f"file://{tmp_path}/none"):
        with pytest.raises(ConfigError, match="HEMALOOP_BUCKET"):
            Bucket(url).check()


def test_a_wrong_secret_says_which_settings_to_check(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    with pytest.raises(ConfigError, match="AWS_SECRET_ACCESS_KEY"):
        Bucket(bucket.url).check()


def test_a_server_that_is_away_is_worth_another_try(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(TransientError, match="cannot be reached"):
        Bucket(bucket.url).check()


def test_the_embedded_server_starts_serves_stops_and_remembers(tmp_path: Path) -> None:
    settings = read_settings({"HEMALOOP_BUCKET": "embedded", "HEMALOOP_HOME": str(tmp_path)})
    before = dict(os.environ)
    with bucket_environment(settings):
        open_bucket(settings).write("a/x", b"1")
        with running(tmp_path) as same:  # a second user finds the running one
            endpoint = same.endpoint
    assert dict(os.environ) == before
    with bucket_environment(settings):
        assert os.environ["AWS_ENDPOINT_URL"] == endpoint
        assert open_bucket(settings).read("a/x") == b"1"
    assert (tmp_path / "bucket.json").stat().st_mode & 0o077 == 0
