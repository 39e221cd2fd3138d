"""A server that says back what it hears, and remembers what it heard and how each connection ended."""

from __future__ import annotations

import socket
import socketserver
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

WITHIN_S = 5.0


class EchoServer:
    """Listens from the moment it is made. `ends` has "fin" or "reset" for each connection that is over. With `work_s` it answers byte by byte, and each takes that long."""

    def __init__(self, work_s: float = 0.0) -> None:
        self.connections = 0
        self.received = b""
        self.ends: list[str] = []
        outer = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                outer.connections += 1
                try:
                    while data := self.request.recv(1 if work_s else 65_536):
                        time.sleep(work_s)
                        outer.received += data
                        self.request.sendall(data)
                    outer.ends.append("fin")
                except OSError:
                    outer.ends.append("reset")

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True
            block_on_close = False

        self._server = Server(("127.0.0.1", 0), Handler)
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def connect(port: int, timeout_s: float = WITHIN_S) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout_s)


def heard(client: socket.socket, size: int) -> bytes:
    """So many bytes, or fewer when the connection is closed before."""
    parts = b""
    while len(parts) < size and (part := client.recv(size - len(parts))):
        parts += part
    return parts


def asked(client: socket.socket, data: bytes) -> bytes:
    """What comes back."""
    client.sendall(data)
    return heard(client, len(data))


def until(holds: Callable[[], object]) -> None:
    """Raises AssertionError when it does not come to hold."""
    deadline = time.monotonic() + WITHIN_S
    while not holds():
        assert time.monotonic() < deadline, "it never came to hold"
        time.sleep(0.005)
