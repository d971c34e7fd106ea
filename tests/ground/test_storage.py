"""s3:// and file:// behave alike, and what goes wrong says what to do."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

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


ODD_ORDER = ("a.bak", "a-b/x", "a.jpg", "a.jpg.bak", "a.json", "a/x", "a.png", "Z/1", "ab/1", "b.jpg", "é/ü x.jpg")


@pytest.mark.parametrize("start_after", ["", "u/a.jpg", "u/a", "u/a/", "u/a-b/x", "u/a-c", "u/zz", "v"])
def test_pages_hold_every_key_after_the_start_once_and_in_order(any_bucket: Bucket, start_after: str) -> None:
    for key in ODD_ORDER:
        any_bucket.write(f"u/{key}", b"x")
    any_bucket.write("ua/other", b"x")
    wanted = [key for key in sorted(f"u/{key}" for key in ODD_ORDER) if key > start_after]
    assert [found.key for page in any_bucket.pages("u/", start_after) for found in page] == wanted
    beginning = [key for key in wanted if key.startswith("u/a.")]
    assert [found.key for page in any_bucket.pages("u/a.", start_after) for found in page] == beginning


def test_folders_are_those_right_below(any_bucket: Bucket) -> None:
    for key in ("u/pi-2/2026/x.jpg", "u/pi-1/x.jpg", "u/x.jpg", "other/y"):
        any_bucket.write(key, b"x")
    assert list(any_bucket.folders("u/")) == ["u/pi-1/", "u/pi-2/"]
    assert list(any_bucket.folders("")) == ["other/", "u/"]
    assert list(any_bucket.folders("u/pi-3/")) == []


def test_a_page_is_one_request_and_a_thousand_keys(bucket: Bucket, requests: list[str]) -> None:
    keys = [f"u/{number:04d}" for number in range(1005)]
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda key: bucket.write(key, b"x"), keys))
    pages = bucket.pages("u/")
    assert requests == []
    assert [found.key for found in next(pages)] == keys[:1000]
    assert requests == ["ListObjectsV2"]
    assert [found.key for page in pages for found in page] == keys[1000:]
    assert requests == ["ListObjectsV2"] * 2
    assert [list(page) for page in bucket.pages("nothing/")] == [[]]
    assert len(requests) == 3


@pytest.fixture
def requests(bucket: Bucket) -> Iterator[list[str]]:
    """The LIST requests that go out, as botocore sends them."""
    sent: list[str] = []
    bucket.check()  # the client is made at the first request
    events = bucket._store._fs.s3.meta.events  # type: ignore[attr-defined]

    def note(model: Any, **_: object) -> None:
        sent.append(model.name)

    events.register("before-call.s3.ListObjectsV2", note)
    yield sent
    events.unregister("before-call.s3.ListObjectsV2", note)


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


def test_keys_with_odd_characters_are_read_plainly(bucket: Bucket) -> None:
    keys = ["é/ü x.jpg", "a+b=c&d?e#f.jpg", "100 %.jpg", "~'(!)*.jpg"]
    for key in keys:
        bucket.write(key, key.encode())
    assert bucket.read_many(keys) == {key: key.encode() for key in keys}
    assert bucket._store._plain.usable  # type: ignore[attr-defined]


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
