"""What goes wrong on the way from the store is tried again, and never taken for the object."""

import hashlib
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from hemaloop.embedded import environment
from hemaloop.errors import TransientError
from hemaloop.storage import Bucket

WHOLE = b"the whole object" * 1000
MD5 = hashlib.md5(WHOLE, usedforsecurity=False).hexdigest()

Fault = Callable[[BaseHTTPRequestHandler], None]


def whole(answer: BaseHTTPRequestHandler, body: bytes = WHOLE, etag: str = MD5) -> None:
    answer.send_response(200)
    answer.send_header("Content-Length", str(len(body)))
    answer.send_header("ETag", f'"{etag}"')
    answer.end_headers()
    answer.wfile.write(body)


def cut(answer: BaseHTTPRequestHandler) -> None:
    answer.send_response(200)
    answer.send_header("Content-Length", str(len(WHOLE)))
    answer.end_headers()
    answer.wfile.write(WHOLE[:100])
    answer.close_connection = True


def cut_and_counted(answer: BaseHTTPRequestHandler) -> None:
    """What a cache that kept half an object would serve."""
    whole(answer, WHOLE[:100])


def reset(answer: BaseHTTPRequestHandler) -> None:
    answer.connection.shutdown(socket.SHUT_RDWR)
    answer.close_connection = True


def unavailable(answer: BaseHTTPRequestHandler) -> None:
    answer.send_error(503)


@contextmanager
def store(*faults: Fault) -> Iterator[tuple[Bucket, list[str]]]:
    """A bucket whose first answers are these; whole ones follow. And the requests that came."""
    left, requests = list(faults), list[str]()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            requests.append(self.path)
            (left.pop(0) if left else whole)(self)

        def log_message(self, *_: object) -> None:
            """Not on the terminal."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    address = f"http://127.0.0.1:{server.server_port}"
    try:
        with environment({"AWS_ENDPOINT_URL": address, "AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s"}):
            yield Bucket("s3://faulty"), requests
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.mark.parametrize("fault", [cut, cut_and_counted, reset, unavailable])
def test_an_object_that_was_spoilt_on_its_way_is_read_again(fault: Fault) -> None:
    with store(fault) as (bucket, requests):
        assert bucket.read("uploads/x.jpg") == WHOLE
    assert len(requests) == 2


@pytest.mark.parametrize("spoilt", [[cut, cut, cut], [cut_and_counted, cut, cut]])
def test_what_is_spoilt_each_time_is_no_object_but_worth_a_later_try(spoilt: list[Fault]) -> None:
    with store(*spoilt) as (bucket, _), pytest.raises(TransientError, match="cut short or damaged"):
        bucket.read("uploads/x.jpg")


def test_one_spoilt_object_of_many_costs_no_other() -> None:
    keys = [f"uploads/{number}.jpg" for number in range(20)]
    with store(cut, whole, reset, whole, cut_and_counted) as (bucket, _):
        assert bucket.read_many(keys) == dict.fromkeys(keys, WHOLE)


def test_an_etag_that_only_looks_like_an_md5_is_believed_when_the_same_bytes_come_twice() -> None:
    encrypted: Fault = lambda answer: whole(answer, etag="0" * 32)  # noqa: E731
    with store(encrypted, encrypted) as (bucket, requests):
        assert bucket.fetch("uploads/x.jpg").data == WHOLE
    assert len(requests) == 2
