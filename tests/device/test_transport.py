"""What a device sends and fetches, on a real S3 server and on a folder."""

import contextlib
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from hemaloop.device.transport import CHUNK, open_transport
from hemaloop.embedded import Server, free_port
from hemaloop.errors import ConfigError, TransientError
from hemaloop.storage import Bucket

CONTENT = bytes(range(256)) * 1000  # some chunks


@pytest.mark.slow
def test_what_is_put_is_read_back_whole_and_in_ranges(any_bucket: Bucket) -> None:
    transport = open_transport(any_bucket.url)
    transport.put("releases/a.bin", CONTENT)
    size = len(CONTENT)
    assert size > 2 * CHUNK
    for start, stop in [(0, size), (0, 1), (7, CHUNK + 9), (size - 3, size), (size - 3, size + 50), (size, size + 1)]:
        assert b"".join(transport.read("releases/a.bin", start, stop)) == CONTENT[start:stop]
    assert list(transport.read("releases/a.bin", 5, 5)) == []
    assert any_bucket.read("releases/a.bin") == CONTENT


@pytest.mark.slow
def test_an_object_that_is_not_there_is_told_from_a_bucket_that_is_not(any_bucket: Bucket) -> None:
    with pytest.raises(FileNotFoundError):
        list(open_transport(any_bucket.url).read("releases/none", 0, 10))
    with pytest.raises(ConfigError, match=r"not there|no such folder"):
        list(open_transport(any_bucket.url + "-other").read("releases/none", 0, 10))
    with pytest.raises(ConfigError, match=r"not there|no such folder"):
        open_transport(any_bucket.url + "-other").put("a", b"")


@pytest.mark.slow
def test_a_wrong_secret_says_what_to_check(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    with pytest.raises(ConfigError, match="AWS_SECRET_ACCESS_KEY"):
        open_transport(bucket.url).put("a", b"")


@pytest.mark.slow
def test_no_key_at_all_says_what_to_set(bucket_server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    with pytest.raises(ConfigError, match="set AWS_ACCESS_KEY_ID"):
        open_transport("s3://some-bucket").put("a", b"")


def test_a_server_that_is_away_means_try_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    with pytest.raises(TransientError, match="cannot be reached"):
        open_transport("s3://some-bucket").put("a", b"")


def test_a_server_that_hangs_up_means_try_later(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.getsockname()[1]}")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        transport = open_transport("s3://some-bucket")
        server.close()
        with pytest.raises(TransientError):
            list(transport.read("a", 0, 10))


class WholeObjects(BaseHTTPRequestHandler):
    """A store, or a proxy before one, that ignores ranges."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        with contextlib.suppress(ConnectionError):
            self.wfile.write(CONTENT)

    def log_message(self, *_: object) -> None:
        """Quiet."""


def test_a_store_that_ignores_ranges_does_not_garble_what_is_continued(monkeypatch: pytest.MonkeyPatch) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), WholeObjects) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        start, stop = CHUNK + 5, 2 * CHUNK + 7
        assert b"".join(open_transport("s3://some-bucket").read("a", start, stop)) == CONTENT[start:stop]
        server.shutdown()
