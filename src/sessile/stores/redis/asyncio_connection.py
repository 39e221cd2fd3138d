"""One connection to Redis on an event loop: commands of one tick in one write, replies in order, nobody waits longer than a call may take."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final, cast

from sessile.model.fence import CacheUnavailable
from sessile.stores.redis.address import Node
from sessile.stores.redis.link import Journal, OnReply
from sessile.stores.redis.wire import LOOK_AGAIN, NOTHING, Command, ProtocolFault, Push, ServerFault, new_reader, pack

OnPush = Callable[[list[Any]], None]
_GRACE_S: Final = 0.01
"""Replies may be there already, and only the loop was late: they are read before anybody is given up. By as much as it was late, this is longer."""
_GONE_WAIT_S: Final = 1.0


class Lost:
    """Stands where a reply would: the connection ended before. Not an exception in the future: nobody may be there to fetch it."""

    __slots__ = ("reason",)

    def __init__(self, reason: str) -> None:
        self.reason = reason


class _Several:
    """Commands that are answered together."""

    __slots__ = ("future", "missing", "replies")

    def __init__(self, future: asyncio.Future[Any], count: int) -> None:
        self.future = future
        self.missing = count
        self.replies: list[Any] = []

    def is_last(self, reply: Any) -> bool:
        self.replies.append(reply)
        self.missing -= 1
        return not self.missing


class _Posted:
    """A command that nobody waits for."""

    __slots__ = ("on_reply",)

    def __init__(self, on_reply: OnReply | None) -> None:
        self.on_reply = on_reply


_Waiting = tuple[float, "asyncio.Future[Any] | _Several | _Posted"]
"""Until when, and who gets the reply. One command that is waited for, as every read of a session is, has no object around its future."""


class AsyncConnection(asyncio.Protocol):
    """`identity` is empty until the greeting is over. `gone` is done when nothing is left of the connection."""

    def __init__(self, loop: asyncio.AbstractEventLoop, journal: Journal, on_push: OnPush | None = None) -> None:
        self.loop = loop
        self.identity = ""
        self.gone: asyncio.Future[None] = loop.create_future()
        self.reason = ""
        """Why it is over; empty while it is not."""
        self.on_over: Callable[[], None] | None = None
        """Called once, at the very moment when it is over."""
        self.is_timeout = False
        self.opened_at = loop.time()
        self._journal = journal
        self._limits = journal.limits
        self._on_push = on_push
        self._reader = new_reader()
        self._gets = self._reader.gets
        self._waiting: deque[_Waiting] = deque()
        self._unsent: list[bytes] = []
        self._unsent_bytes = 0
        self._is_paused = False
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._grace_until = 0.0

    async def call(self, command: Command) -> Any:
        """The reply. Raises CacheUnavailable."""
        return answered(await self.submit(command))

    def submit(self, command: Command) -> asyncio.Future[Any]:
        """What `answered` makes the reply of, once it is awaited. Raises CacheUnavailable when there is no room."""
        future: asyncio.Future[Any] = self.loop.create_future()
        self._enqueue(pack(command), future)
        return future

    async def call_many(self, commands: Sequence[Command]) -> list[Any]:
        """The replies in order. Raises CacheUnavailable."""
        if not commands:
            return []
        if len(commands) == 1:
            return [await self.call(commands[0])]
        future: asyncio.Future[Any] = self.loop.create_future()
        self._enqueue(b"".join(map(pack, commands)), _Several(future, len(commands)))
        replies: list[Any] = answered(await future)
        return replies

    def post(self, command: Command, on_reply: OnReply | None) -> None:
        """Raises CacheUnavailable when there is no room."""
        self._enqueue(pack(command), _Posted(on_reply))

    def tell(self, command: Command) -> None:
        """Sends what is answered by pushes only. Raises CacheUnavailable."""
        self._check_room()
        self._send(pack(command))

    def _enqueue(self, packed: bytes, taker: asyncio.Future[Any] | _Several | _Posted) -> None:
        self._check_room()
        self._send(packed)
        deadline = self.loop.time() + self._limits.call_timeout_s
        self._waiting.append((deadline, taker))
        if self._timer is None:
            self._timer = self.loop.call_at(deadline, self._look_at_the_clock)

    def _check_room(self) -> None:
        if self._transport is None or self.reason:
            raise CacheUnavailable(self.reason or "it is not connected")
        limits = self._limits
        if self._is_paused or len(self._waiting) >= limits.pending_max or self._unsent_bytes > limits.unsent_bytes_max:
            self._journal.refusals += 1
            raise CacheUnavailable("too much is waiting for the cache already")

    def _send(self, packed: bytes) -> None:
        if not self._unsent:
            self.loop.call_soon(self._flush)
        self._unsent.append(packed)
        self._unsent_bytes += len(packed)

    def _flush(self) -> None:
        unsent, self._unsent, self._unsent_bytes = self._unsent, [], 0
        if self._transport is not None and not self.reason:
            self._transport.write(b"".join(unsent))

    def _look_at_the_clock(self) -> None:
        """One timer for all calls: replies come in order, so the oldest call is the first to be overdue."""
        self._timer = None
        if not self._waiting:
            self._grace_until = 0.0
            return
        deadline = self._waiting[0][0]
        if deadline > self.loop.time():
            self._timer = self.loop.call_at(deadline, self._look_at_the_clock)
            self._grace_until = 0.0
        elif not self._grace_until:
            late_s = min(self.loop.time() - deadline, self._limits.call_timeout_s)
            self._grace_until = self.loop.time() + _GRACE_S + late_s
            self._timer = self.loop.call_at(self._grace_until, self._look_at_the_clock)
        else:
            self.is_timeout = True
            self.abort("it did not answer in time")

    def abort(self, reason: str) -> None:
        """Ends the connection now; whoever waits gets `reason`."""
        is_first, self.reason = not self.reason, self.reason or reason
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if is_first and self.on_over is not None:
            self.on_over()
        waiting, self._waiting = self._waiting, deque()
        for _, taker in waiting:
            if not isinstance(taker, _Posted):
                _give(taker.future if isinstance(taker, _Several) else taker, Lost(self.reason))
        if self._transport is not None:
            self._transport.abort()

    async def closed(self) -> None:
        """Ends it and returns when its socket is closed."""
        self.abort("the link was closed")
        if self._transport is not None:
            await asyncio.wait([self.gone], timeout=_GONE_WAIT_S)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by its class
        self._transport.set_write_buffer_limits(high=self._limits.unsent_bytes_max)
        connected = transport.get_extra_info("socket")
        if connected is not None and connected.family != socket.AF_UNIX:
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

    def data_received(self, data: bytes) -> None:
        try:
            self._reader.feed(data)
            self._take_replies()
        except ProtocolFault:
            self.abort("it does not answer like Redis")

    def _take_replies(self) -> None:
        gets = self._gets
        while (reply := gets()) is not NOTHING:
            kind = type(reply)
            if kind is Push:
                if self._on_push is not None:
                    self._on_push(reply)
                continue
            if not self._waiting:
                self.abort("it answered without being asked")
                return
            taker = self._waiting[0][1]
            if isinstance(taker, _Several):
                if taker.is_last(reply):
                    self._waiting.popleft()
                    _give(taker.future, taker.replies)
            else:
                self._waiting.popleft()
                if not isinstance(taker, _Posted):
                    _give(taker, reply)
                elif taker.on_reply is not None:
                    taker.on_reply(reply)
            if kind is ServerFault and reply.code in LOOK_AGAIN:
                self.abort(f"it answered {reply.code}")
                return

    def eof_received(self) -> None:
        self.abort("it closed the connection")

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        self.abort("the connection broke" if error else "it closed the connection")
        if not self.gone.done():
            self.gone.set_result(None)

    def pause_writing(self) -> None:
        self._is_paused = True

    def resume_writing(self) -> None:
        self._is_paused = False


def _give(future: asyncio.Future[Any], reply: Any) -> None:
    """A caller who was cancelled has taken its future along; the reply still had its place in the order."""
    if not future.done():
        future.set_result(reply)


def answered(reply: Any) -> Any:
    """The reply. Raises CacheUnavailable when the connection was lost before it."""
    if reply.__class__ is Lost:
        raise CacheUnavailable(reply.reason)
    return reply


async def open_connection(
    node: Node, tls: ssl.SSLContext | None, journal: Journal, on_push: OnPush | None = None
) -> AsyncConnection:
    """Connected, not greeted. The caller bounds the time. Raises OSError (ssl.SSLError is one)."""
    loop = asyncio.get_running_loop()
    connection = AsyncConnection(loop, journal, on_push)
    if node.path:
        await loop.create_unix_connection(lambda: connection, node.path)
    else:
        name = node.host if tls is not None else None
        await loop.create_connection(lambda: connection, node.host, node.port, ssl=tls, server_hostname=name)
    return connection
