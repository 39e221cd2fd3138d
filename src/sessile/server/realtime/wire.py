"""How frames get onto a connection when the server lets us at it: encoded once for everybody, and what one turn of the loop brings in one write.

Plain ASGI offers a coroutine for each message and each socket. With many readers of one document that, and not the network, is what a change
costs; so `sessile serve` gives uvicorn a protocol class that offers the connection itself (`sessile.server.serving`).
"""

from __future__ import annotations

import asyncio
import logging
import struct
from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

_log = logging.getLogger("sessile.server")

FLUSHED_AT_ONCE: Final = 256
"""Connections written to before other work of the loop gets its turn."""
_TEXT: Final = 0x81
"""One whole message of text (RFC 6455, section 5.2), never masked: that is for clients."""
_LENGTH_16: Final = 126
_LENGTH_64: Final = 127


class Encoded:
    """The text of a frame, with its size and its form on a WebSocket: each found once, for all who get it."""

    __slots__ = ("_framed", "size", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self.size = len(text) if text.isascii() else len(text.encode())
        self._framed: bytes | None = None

    @property
    def framed(self) -> bytes:
        """A WebSocket message."""
        if self._framed is None:
            self._framed = _head(self.size) + self.text.encode()
        return self._framed


def _head(size: int) -> bytes:
    if size < _LENGTH_16:
        return struct.pack("!BB", _TEXT, size)
    if size <= 0xFFFF:
        return struct.pack("!BBH", _TEXT, _LENGTH_16, size)
    return struct.pack("!BBQ", _TEXT, _LENGTH_64, size)


class Wire(Protocol):
    """A connection, as its protocol class offers it."""

    on_writable: Callable[[], None] | None
    """Called when it takes more again, and when it is lost."""
    is_paused: bool
    """Whether the peer takes too little: nothing should be written until `on_writable` is called."""

    def write(self, data: bytes) -> None:
        """Never waits. Raises OSError when the peer is gone."""
        ...


class Flushes(Protocol):
    """What has something to write."""

    def flush(self) -> None:
        """Writes as much as the peer takes."""
        ...


class Flusher:
    """Calls what has something to write once in a turn of the loop, however much came together. One per event loop."""

    def __init__(self) -> None:
        self._due: deque[Flushes] = deque()
        self._is_scheduled = False

    def add(self, one: Flushes) -> None:
        self._due.append(one)
        if not self._is_scheduled:
            self._is_scheduled = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        for _ in range(min(len(self._due), FLUSHED_AT_ONCE)):
            try:
                self._due.popleft().flush()
            except Exception:  # noqa: BLE001 - it is logged, and one fault must not keep the others waiting
                _log.exception("a connection could not be written to", extra={"event_name": "socket_unwritten"})
        if self._due:
            asyncio.get_running_loop().call_soon(self._flush)
        else:
            self._is_scheduled = False
