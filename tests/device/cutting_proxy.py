"""A line that drops: a TCP proxy before the real server."""

import contextlib
import socket
import threading
from types import TracebackType


class CuttingProxy:
    """Passes bytes both ways; cuts a connection after so many bytes from the server."""

    def __init__(self, port: int) -> None:
        self._server = port
        self._limit: int | None = None
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self.sent = 0  # bytes from the server since the last change

    def __enter__(self) -> "CuttingProxy":
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.refuse()

    def cut_after(self, limit: int | None) -> None:
        self._limit, self.sent = limit, 0

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
            server = socket.create_connection(("127.0.0.1", self._server))
            threading.Thread(target=self._pass, args=(client, server, False), daemon=True).start()
            threading.Thread(target=self._pass, args=(server, client, True), daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket, counted: bool) -> None:
        passed = 0
        with contextlib.suppress(OSError), source, sink:
            while data := source.recv(4096):
                passed += len(data)
                self.sent += len(data) if counted else 0
                if counted and self._limit is not None and passed > self._limit:
                    break
                sink.sendall(data)
            for each in (source, sink):
                each.shutdown(socket.SHUT_RDWR)
