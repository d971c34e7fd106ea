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
from hemaloop.plain_reader import Access, PlainReader
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


def missing(answer: BaseHTTPRequestHandler) -> None:
    body = b"<Error><Code>NoSuchKey</Code></Error>"
    answer.send_response(404)
    answer.send_header("Content-Length", str(len(body)))
    answer.end_headers()
    answer.wfile.write(body)


def whole_for_s3fs_alone(answer: BaseHTTPRequestHandler) -> None:
    if "aiobotocore" in answer.headers["User-Agent"]:
        return whole(answer)
    return answer.send_error(400)


def whole_with_the_token(answer: BaseHTTPRequestHandler) -> None:
    return whole(answer) if answer.headers["X-Amz-Security-Token"] == "t" else answer.send_error(403)


@contextmanager
def store(*faults: Fault, **variables: str) -> Iterator[tuple[Bucket, list[str]]]:
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
    access = {"AWS_ENDPOINT_URL": address, "AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s"}
    try:
        with environment(access | variables):
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


def test_an_object_that_is_there_is_asked_for_once_and_so_is_one_that_is_not() -> None:
    with store(whole, missing) as (bucket, requests):
        assert bucket.read("uploads/x.jpg") == WHOLE
        with pytest.raises(FileNotFoundError):
            bucket.read("uploads/none.jpg")
    assert len(requests) == 2


def test_a_store_that_does_not_take_plain_requests_is_read_by_s3fs_and_asked_plainly_no_more() -> None:
    with store(*[whole_for_s3fs_alone] * 4) as (bucket, requests):
        assert [bucket.read(f"uploads/{number}.jpg") for number in range(3)] == [WHOLE] * 3
    assert len(requests) == 4


@pytest.mark.parametrize("first", [[], [reset]])  # read plainly, and by s3fs
def test_a_temporary_key_is_used_with_its_token(first: list[Fault]) -> None:
    with store(*first, whole_with_the_token, AWS_SESSION_TOKEN="t") as (bucket, requests):
        assert bucket.read("uploads/x.jpg") == WHOLE
    assert len(requests) == len(first) + 1


def test_behind_a_proxy_s3fs_reads() -> None:
    with environment({"HTTPS_PROXY": "http://127.0.0.1:9", "NO_PROXY": ""}):
        access = Access("https://store.invalid", "us-east-1", "k", "s", None, None, 1, 1, 1)
        assert not PlainReader("b", access).usable
    assert PlainReader("b", access).usable
