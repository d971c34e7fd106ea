"""A store that serves a folder's bucket over S3, and attacks who reads it; each attack is one attribute."""

import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from urllib.parse import unquote, urlsplit

PIECE = 64 * 1024  # bytes


class HostileStore(ThreadingHTTPServer):
    """Serves GET of one bucket, path style, with ranges; believes any signature of a request."""

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.folder = folder
        self.endless: str | None = None  # keys that begin so never end
        self.drips: str | None = None  # keys that begin so come a byte at a time
        self.asked: list[str] = []  # keys, in order
        self.sent = 0  # bytes of bodies

    def __enter__(self) -> "HostileStore":
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.shutdown()
        self.server_close()

    def handle_error(self, request: object, client_address: object) -> None:
        """A device that hangs up is what we want to see."""


class _Handler(BaseHTTPRequestHandler):
    server: HostileStore

    def do_GET(self) -> None:
        key = unquote(urlsplit(self.path).path).split("/", 2)[2]
        self.server.asked.append(key)
        path = self.server.folder / key
        if not path.is_file():
            self._answer(404, b"<Error><Code>NoSuchKey</Code></Error>")
            return
        start, stop = self._range()
        content = path.read_bytes()[start:stop]
        with suppress(ConnectionError):
            if self.server.endless is not None and key.startswith(self.server.endless):
                self._head(200, None)
                self._send(_for_ever(path.read_bytes()))
            elif self.server.drips is not None and key.startswith(self.server.drips):
                self._head(206, len(content), start)
                self._send(_dripping(content))
            else:
                self._answer(206, content, start)

    def _range(self) -> tuple[int, int]:
        first, last = self.headers["Range"].removeprefix("bytes=").split("-")
        return int(first), int(last) + 1

    def _answer(self, status: int, content: bytes, start: int = 0) -> None:
        self._head(status, len(content), start)
        self._send(iter([content]))

    def _head(self, status: int, length: int | None, start: int = 0) -> None:
        self.send_response(status)
        if length is not None:
            self.send_header("Content-Length", str(length))
        if status == 206:
            self.send_header("Content-Range", f"bytes {start}-{start + (length or 0) - 1}/*")
        self.end_headers()

    def _send(self, pieces: Iterator[bytes]) -> None:
        for piece in pieces:
            self.wfile.write(piece)
            self.server.sent += len(piece)

    def log_message(self, *_: object) -> None:
        """Quiet."""


def _for_ever(content: bytes) -> Iterator[bytes]:
    yield content
    while True:
        yield bytes(PIECE)


def _dripping(content: bytes) -> Iterator[bytes]:
    for byte in content:
        yield bytes([byte])
        time.sleep(0.02)
