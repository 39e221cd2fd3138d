"""A WSGI application (PEP 3333) under an ASGI server: each request is answered in one of a bounded number of threads.

What goes in and what comes out is passed on piece by piece: neither an upload nor a download is ever whole in memory. A thread is taken when the first part of
the body is there, so people on slow lines who send a form hold up nobody. A peer that goes away ends the response at its next piece; `close()` of the
response is called in any case, in the thread that made it.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import io
import sys
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Any, Final, TypeVar

from sessile.web.asgi import Message, Receive, Scope, Send

T = TypeVar("T")
WsgiApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

THREADS: Final = 16
_READ_AHEAD_BYTES: Final = 256 * 1024
"""So much of a body is taken before a thread is: most forms are whole then."""
_BUFFER_BYTES: Final = 64 * 1024
_LOOK_INTERVAL_S: Final = 1.0
"""How often a thread that waits for the loop makes sure that there still is one."""
_OF_THE_CONNECTION: Final = frozenset({"connection", "keep-alive", "transfer-encoding", "upgrade"})
"""Header names that are the server's business (PEP 3333)."""


class PeerLeft(ConnectionError):
    """Nobody waits for this response any more."""


class WsgiHost:
    """The ASGI application. `close` ends the threads."""

    def __init__(self, app: WsgiApp, *, threads: int = THREADS) -> None:
        self._app = app
        self._pool = concurrent.futures.ThreadPoolExecutor(threads, "sessile-wsgi")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": ""})
            return
        exchange = _Exchange(receive, send)
        await exchange.read_ahead()
        context = contextvars.copy_context()
        try:
            await asyncio.get_running_loop().run_in_executor(
                self._pool, context.run, _answer, self._app, environ_of(scope, exchange), exchange
            )
        finally:
            exchange.end()

    def close(self) -> None:
        """Waits for the responses under way."""
        self._pool.shutdown(wait=True, cancel_futures=True)


def _answer(app: WsgiApp, environ: dict[str, Any], exchange: _Exchange) -> None:
    """In a thread: the whole life of one request. Raises what the application raises."""
    response = _Response(exchange)
    try:
        body = app(environ, response.start)
        try:
            for piece in body:
                response.write(piece)
            response.finish()
        finally:
            close = getattr(body, "close", None)
            if close is not None:
                close()
    except PeerLeft:
        return  # the application has heard of it by `close`


class _Response:
    """What `start_response` and the pieces of the body become."""

    def __init__(self, exchange: _Exchange) -> None:
        self._exchange = exchange
        self._head: Message | None = None
        self._left: int | None = None
        self._is_sent = self._is_over = False

    def start(self, status: str, headers: Sequence[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], None]:
        """PEP 3333's `start_response`. A second call needs `exc_info`, which is raised when the first byte is out already."""
        if exc_info is not None:
            try:
                if self._is_sent:
                    raise exc_info[1].with_traceback(exc_info[2])
            finally:
                exc_info = None  # no circle through the traceback
        elif self._head is not None:
            raise RuntimeError("start_response was called before; a second call needs exc_info (PEP 3333)")
        raw = [
            (k.lower().encode("latin-1"), v.encode("latin-1"))
            for k, v in headers
            if k.lower() not in _OF_THE_CONNECTION
        ]
        length = next((value for name, value in raw if name == b"content-length"), b"")
        self._left = int(length) if length.isdigit() else None
        self._head = {"type": "http.response.start", "status": int(status.split(" ", 1)[0]), "headers": raw}
        return self.write

    def write(self, piece: bytes) -> None:
        """Headers go out with the first piece that is not empty. The last one, where its end is known, ends the response in the same turn."""
        if not piece or self._is_over:
            return
        if self._left is not None:
            self._left -= len(piece)
            self._is_over = self._left <= 0
        self._send({"type": "http.response.body", "body": piece, "more_body": not self._is_over})

    def finish(self) -> None:
        if not self._is_over:
            self._is_over = True
            self._send({"type": "http.response.body", "body": b"", "more_body": False})

    def _send(self, message: Message) -> None:
        if self._is_sent:
            self._exchange.send(message)
            return
        if self._head is None:
            raise RuntimeError("the application gave a body without calling start_response (PEP 3333)")
        self._is_sent = True
        self._exchange.send(self._head, message)


class _Exchange:
    """Between a thread and the loop. Made and ended on the loop; `read` and `send` are for the thread."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._loop = asyncio.get_running_loop()
        self._receive = receive
        self._deliver = send
        self._ahead: list[bytes] = []
        self._is_whole = self._is_left = False
        self._watch: asyncio.Task[Message] | None = None

    async def read_ahead(self) -> None:
        size = 0
        while not (self._is_whole or self._is_left) and size < _READ_AHEAD_BYTES:
            part = await self._part()
            size += len(part)
            self._ahead.append(part)
        self._ahead.reverse()

    def end(self) -> None:
        """The request is over, or was given up: who still writes is told."""
        self._is_left = True
        if self._watch is not None:
            self._watch.cancel()

    def read(self) -> bytes:
        """The next part of the body; empty at its end, and when the peer has gone."""
        while True:
            if self._ahead:
                part = self._ahead.pop()
            elif self._is_whole or self._is_left:
                return b""
            else:
                part = self._wait(self._part())
            if part:
                return part

    def send(self, *messages: Message) -> None:
        """Returns when the connection takes more. Raises PeerLeft."""
        self._wait(self._send(messages))

    async def _part(self) -> bytes:
        message = await self._receive()
        if message["type"] != "http.request":
            self._is_left = True
            return b""
        self._is_whole = not message.get("more_body", False)
        part: bytes = message.get("body", b"")
        return part

    async def _send(self, messages: Sequence[Message]) -> None:
        if self._is_left or (self._watch is not None and self._watch.done()):
            raise PeerLeft
        for message in messages:
            await self._deliver(message)
        if messages[-1]["more_body"] and self._watch is None and self._is_whole:
            # A server drops what is sent to a peer that has gone, and a stream would never end.
            self._watch = asyncio.ensure_future(self._receive())

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        while True:
            try:
                return future.result(_LOOK_INTERVAL_S)
            except concurrent.futures.TimeoutError:
                if future.done():
                    raise
                if not self._loop.is_running():
                    raise PeerLeft from None


class _Body(io.RawIOBase):
    """`wsgi.input`, below a buffer that makes lines of it."""

    def __init__(self, exchange: _Exchange) -> None:
        self._exchange = exchange
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._rest:
            self._rest = self._exchange.read()
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count


def environ_of(scope: Scope, exchange: _Exchange) -> dict[str, Any]:
    """The request as WSGI has it. A header whose name has an underscore is left out: it would look like another one."""
    root = str(scope.get("root_path", ""))
    path = str(scope["path"])
    within = path[len(root) :] if root and (path == root or path.startswith(root + "/")) else path
    query = scope.get("query_string", b"").decode("latin-1")
    raw_path = (scope.get("raw_path") or path.encode()).decode("latin-1")
    server, client = scope.get("server") or ("localhost", 80), scope.get("client") or ("", 0)
    return {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": root.encode().decode("latin-1"),
        "PATH_INFO": within.encode().decode("latin-1"),
        "QUERY_STRING": query,
        "REQUEST_URI": f"{raw_path}?{query}" if query else raw_path,
        "SERVER_NAME": str(server[0]),
        "SERVER_PORT": str(server[1] or 80),
        "SERVER_PROTOCOL": f"HTTP/{scope.get('http_version', '1.1')}",
        "REMOTE_ADDR": str(client[0]),
        "REMOTE_PORT": str(client[1]),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope.get("scheme", "http"),
        "wsgi.input": io.BufferedReader(_Body(exchange), _BUFFER_BYTES),
        "wsgi.input_terminated": True,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        **_header_environ(scope),
    }


def _header_environ(scope: Scope) -> dict[str, str]:
    found: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        if "_" in name:
            continue
        key = name.upper().replace("-", "_")
        if key not in {"CONTENT_TYPE", "CONTENT_LENGTH"}:
            key = "HTTP_" + key
        # RFC 9110 section 5.3, and RFC 9113 section 8.2.3 for cookies
        found[key] = value if key not in found else f"{found[key]}{'; ' if key == 'HTTP_COOKIE' else ','}{value}"
    return found
