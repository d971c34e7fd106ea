"""A bad line: a TCP proxy before the real server."""

import contextlib
import socket
import threading
import time
from types import TracebackType


class CuttingProxy:
    """Passes bytes both ways; cuts, slows or changes what comes from the server, or answers in its place."""

    def __init__(self, port: int) -> None:
        self._server = port
        self._limit: int | None = None
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self.sent = 0  # bytes from the server since the last change
        self.asked = 0  # bytes to the server since the last change
        self.requests = 0  # since the last change
        self.corrupt_at: int | None = None  # byte of a connection that is changed on its way from the server
        self.pause_seconds = 0.0  # before each `step` bytes from the server
        self.step = 4096  # bytes
        self.reply: bytes | None = None  # said instead of asking the server

    def __enter__(self) -> "CuttingProxy":
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.refuse()

    def cut_after(self, limit: int | None) -> None:
        self._limit = limit
        self.forget()

    def forget(self) -> None:
        """Count from here."""
        self.sent = self.asked = self.requests = 0

    def refuse(self) -> None:
        """No new connection is taken."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._socket.accept()
            except OSError:
                return
            if self.reply is not None:
                threading.Thread(target=self._answer, args=(client, self.reply), daemon=True).start()
                continue
            server = socket.create_connection(("127.0.0.1", self._server))
            threading.Thread(target=self._pass, args=(client, server, False), daemon=True).start()
            threading.Thread(target=self._pass, args=(server, client, True), daemon=True).start()

    def _answer(self, client: socket.socket, reply: bytes) -> None:
        with contextlib.suppress(OSError), client:
            client.recv(65536)
            client.sendall(reply)
            client.shutdown(socket.SHUT_WR)

    def _pass(self, source: socket.socket, sink: socket.socket, counted: bool) -> None:
        passed = 0
        with contextlib.suppress(OSError), source, sink:
            while data := source.recv(self.step):
                if counted:
                    data = self._changed(data, passed)
                passed += len(data)
                self._count(data, counted)
                if counted and self._limit is not None and passed > self._limit:
                    break
                sink.sendall(data)
            for each in (source, sink):
                each.shutdown(socket.SHUT_RDWR)

    def _changed(self, data: bytes, passed: int) -> bytes:
        time.sleep(self.pause_seconds)
        at = self.corrupt_at
        if at is None or not passed <= at < passed + len(data):
            return data
        return data[: at - passed] + bytes([data[at - passed] ^ 1]) + data[at - passed + 1 :]

    def _count(self, data: bytes, from_server: bool) -> None:
        if from_server:
            self.sent += len(data)
            return
        self.asked += len(data)
        self.requests += data.startswith((b"GET ", b"PUT ", b"HEAD "))
