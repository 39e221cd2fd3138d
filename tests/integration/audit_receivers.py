"""Receivers of audit events: a web server and syslog servers, as real as a socket is."""

from __future__ import annotations

import base64
import json
import re
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final, Self

from sessile import InvalidValue, verify_webhook

SECRET: Final = "whsec_" + base64.b64encode(bytes(range(100, 132))).decode()
_COUNTED: Final = re.compile(rb"(\d+) ")


class Receiver:
    """Answers with `status`; what was signed right is in `got`, the ids of messages in `ids`."""

    def __init__(self, port: int = 0, context: ssl.SSLContext | None = None) -> None:
        self.got: list[dict[str, Any]] = []
        self.ids: list[str] = []
        self.refused: list[str] = []
        self.status = 204
        self._server = ThreadingHTTPServer(("127.0.0.1", port), _handler(self))
        if context is not None:
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def take(self, path: str, headers: dict[str, str], body: bytes) -> int:
        if path != "/audit?of=us":
            return 404
        if self.status >= 300:
            return self.status
        try:
            self.got += verify_webhook(SECRET, headers, body)
        except InvalidValue as refused:
            self.refused.append(str(refused))
            return 400
        self.ids.append({name.lower(): value for name, value in headers.items()}["webhook-id"])
        return self.status


def _handler(receiver: Receiver) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            status = receiver.take(self.path, dict(self.headers.items()), body)
            self.send_response(status)
            if 300 <= status < 400:
                self.send_header("location", "/audit?of=us")
            if status != 204:
                self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *arguments: Any) -> None:
            """Nothing is printed."""

    return Handler


@contextmanager
def datagrams(family: int = socket.AF_INET, address: Any = ("127.0.0.1", 0)) -> Iterator[socket.socket]:
    with socket.socket(family, socket.SOCK_DGRAM) as server:
        server.bind(address)
        server.settimeout(10)
        yield server


class StreamServer:
    """Reads counted messages from one connection after the other. The first `broken` of them are reset after they were read."""

    def __init__(
        self,
        family: int = socket.AF_INET,
        address: Any = ("127.0.0.1", 0),
        broken: int = 0,
        context: ssl.SSLContext | None = None,
    ) -> None:
        self.got: list[dict[str, Any]] = []
        self.seen = b""
        """What came over the wire before it was deciphered: of a protected connection, how it begins."""
        self._context = context
        self._broken = broken
        self._socket = socket.socket(family, socket.SOCK_STREAM)
        self._socket.bind(address)
        self._socket.listen()
        self.port = self._socket.getsockname()[1] if family == socket.AF_INET else 0
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection:
                if self._broken:
                    self._broken -= 1
                    # A reset instead of an end: what a server does that dies with something unread.
                    connection.recv(1)
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
                    continue
                if self._context is None:
                    self.got += counted(_all_of(connection))
                    continue
                self.seen = connection.recv(3, socket.MSG_PEEK)
                with suppress(ssl.SSLError), self._context.wrap_socket(connection, server_side=True) as protected:
                    self.got += counted(_all_of(protected))
                    protected.unwrap()


def _all_of(connection: socket.socket) -> bytes:
    whole = b""
    while some := connection.recv(65536):
        whole += some
    return whole


def counted(stream: bytes) -> list[dict[str, Any]]:
    found = []
    while stream:
        match = _COUNTED.match(stream)
        assert match is not None
        end = match.end() + int(match[1])
        found.append(event_of(stream[match.end() : end]))
        stream = stream[end:]
    return found


def event_of(message: bytes) -> dict[str, Any]:
    """What a syslog message says."""
    match = re.fullmatch(rb"<10[89]>1 \S+ \S+ sessile \d+ \S+ - (\{.*\})", message)
    assert match is not None, message
    event: dict[str, Any] = json.loads(match[1])
    return event


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def places(events: list[dict[str, Any]]) -> list[tuple[str, int]]:
    return [(event["stream"], event["position"]) for event in events]


def is_in_order(found: list[tuple[str, int]]) -> bool:
    """Whether each stream begins at 1, and no position comes before the one below it came."""
    ends: dict[str, int] = {}
    for stream, position in found:
        if position > ends.get(stream, 0) + 1:
            return False
        ends[stream] = max(ends.get(stream, 0), position)
    return True
