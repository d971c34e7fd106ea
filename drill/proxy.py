"""An S3 server's bad days: a proxy in front of the real one that fails on purpose, the same way for the same seed."""

import contextlib
import http.client
import random
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast
from urllib.parse import parse_qs, unquote, urlsplit

ERROR = "error"  # 500 or 503, nothing was done
LOST_ANSWER = "lost answer"  # it was done, and the answer is an error all the same
RESET = "reset"  # the connection ends before anything was done
TRUNCATED = "truncated"  # the body ends too early
SLOW = "slow"
STALE = "stale"  # a listing as it was some time ago

_OF_READ = (ERROR, RESET, TRUNCATED, SLOW)
_OF_LIST = (ERROR, RESET, TRUNCATED, SLOW, STALE, STALE)
_OF_CHANGE = (ERROR, RESET, LOST_ANSWER, SLOW)

_SLOW_SECONDS = 0.4
_HOP = frozenset({"connection", "expect", "transfer-encoding", "keep-alive"})


@dataclass
class Weather:
    """What the proxy does to requests; changed while it runs."""

    seed: int
    rate: float = 0.0  # share of requests that meet a fault
    away: bool = False  # every request is refused
    faults: Counter[str] = field(default_factory=Counter)  # that were met
    seen: Counter[str] = field(default_factory=Counter)  # requests, by method and path
    listings: dict[str, bytes] = field(default_factory=dict)  # the first answer since `clear`
    lock: threading.Lock = field(default_factory=threading.Lock)

    def choose(self, method: str, path: str) -> str:
        """The fault that this request meets, or ""; the n-th request for a path always meets the same."""
        with self.lock:
            self.seen[f"{method} {path}"] += 1
            chance = random.Random(f"{self.seed} {method} {path} {self.seen[f'{method} {path}']}")
            fault = RESET if self.away else chance.choice(_faults(method, path)) if chance.random() < self.rate else ""
            if fault:
                self.faults[fault] += 1
            return fault

    def clear(self) -> None:
        """From now on a stale listing is no older than this."""
        with self.lock:
            self.listings.clear()

    def listing(self, path: str, fresh: bytes, stale: bool) -> bytes:
        """The answer to a listing: the fresh one, or the oldest that is remembered."""
        with self.lock:
            old = self.listings.setdefault(path, fresh)
        return old if stale else fresh


def _faults(method: str, path: str) -> tuple[str, ...]:
    if method not in ("GET", "HEAD"):
        return _OF_CHANGE
    return _OF_LIST if _is_listing(path) else _OF_READ


def _is_listing(path: str) -> bool:
    return "list-type" in parse_qs(urlsplit(path).query)


class FaultyS3(ThreadingHTTPServer):
    """The proxy. `arrived` is called with the key of each object below uploads/ that was really written."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, upstream: int, weather: Weather, arrived: Callable[[str], None]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.upstream, self.weather, self.arrived = upstream, weather, arrived

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def __enter__(self) -> "FaultyS3":
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()

    def handle_error(self, *_: Any) -> None:
        """A client that was killed, or hung up on us: what this is for."""


class _Handler(BaseHTTPRequestHandler):
    """Passes a request on with its own Host header, which the signature covers."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def handle_one_request(self) -> None:
        with contextlib.suppress(ConnectionError):
            super().handle_one_request()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("do_"):
            return self._pass
        raise AttributeError(name)

    def log_message(self, *_: Any) -> None:
        """The drill counts faults; it prints no requests."""

    def _pass(self) -> None:
        server = cast(FaultyS3, self.server)
        fault = server.weather.choose(self.command, self.path)
        body = self._body()
        if fault == RESET:
            return self._reset()
        if fault == ERROR:
            return self._answer(503, [], _error("SlowDown"))
        if fault == SLOW:
            time.sleep(_SLOW_SECONDS)
        status, headers, content = self._ask(server.upstream, body)
        if _is_listing(self.path) and status == 200:
            content = server.weather.listing(self.path, content, fault == STALE)
        if self.command == "PUT" and status == 200:
            self._tell(server)
        if fault == LOST_ANSWER:
            return self._answer(500, [], _error("InternalError"))
        if fault == TRUNCATED and len(content) > 1:
            self._head(status, headers, len(content))
            self.wfile.write(content[: len(content) // 2])
            return self._reset()
        return self._answer(status, headers, content)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            return b"".join(iter(self._chunk, b""))
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _chunk(self) -> bytes:
        size = int(self.rfile.readline().split(b";")[0], 16)
        data = self.rfile.read(size)
        self.rfile.readline()
        return data

    def _ask(self, port: int, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        try:
            connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in _HOP | {"content-length"}:
                    connection.putheader(name, value)
            connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            answer = connection.getresponse()
            self._length = answer.getheader("Content-Length")
            return answer.status, answer.getheaders(), answer.read()
        finally:
            connection.close()

    def _answer(self, status: int, headers: list[tuple[str, str]], content: bytes) -> None:
        self._head(status, headers, len(content))
        if self.command != "HEAD":
            self.wfile.write(content)

    def _head(self, status: int, headers: list[tuple[str, str]], length: int) -> None:
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in _HOP | {"content-length"}:
                self.send_header(name, value)
        told = self._length if self.command == "HEAD" and headers else str(length)
        self.send_header("Content-Length", told or "0")
        self.end_headers()

    def _reset(self) -> None:
        """End the connection as a router that dies does: RST, not FIN."""
        self.wfile.flush()
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()

    def _tell(self, server: FaultyS3) -> None:
        key = unquote(urlsplit(self.path).path).lstrip("/").partition("/")[2]
        if key.startswith("uploads/"):
            server.arrived(key)


def _error(code: str) -> bytes:
    return f'<?xml version="1.0"?><Error><Code>{code}</Code><Message>the drill</Message></Error>'.encode()
