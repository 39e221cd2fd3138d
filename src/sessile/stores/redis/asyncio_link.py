"""The way to one server from an event loop: one shared connection that comes back by itself and never lets a caller wait long.

Breaker: while the server is down, calls fail at once and one task tries to connect, at growing pauses. Only the first try, and the first one after a
connection that had been good, is waited for (at most `connect_timeout_s`).
"""

from __future__ import annotations

import asyncio
import contextvars
import os
import ssl
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, Final

from sessile.model.fence import CacheUnavailable
from sessile.stores.redis.address import Node
from sessile.stores.redis.asyncio_connection import AsyncConnection, OnPush, open_connection
from sessile.stores.redis.link import Journal, Limits, LinkStatus, OnReply, State
from sessile.stores.redis.wire import Command, Greeting, ProtocolFault

Locate = Callable[[], Awaitable[Node]]
_GOOD_AFTER_S: Final = 1.0
"""A connection that lived this long was good: its loss is worth a try at once."""
_of_other_processes: Final[list[object]] = []
"""What a fork has left us is kept and never touched: closing it would take its file descriptors out of the parent's poll set."""


class AsyncLink:
    """`locate` says where the server is, before each connect. Used from another event loop than before, it starts over there."""

    def __init__(
        self,
        name: str,
        locate: Locate,
        greeting: Greeting,
        *,
        tls: ssl.SSLContext | None = None,
        limits: Limits | None = None,
        on_push: OnPush | None = None,
        on_up: Callable[[AsyncConnection], None] | None = None,
    ) -> None:
        self._locate = locate
        self._greeting = greeting
        self._tls = tls
        self._on_push = on_push
        self._on_up = on_up
        self._journal = Journal(name, limits or Limits())
        self._state: State = "new"
        self._reason = ""
        self._pid = os.getpid()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._connection: AsyncConnection | None = None
        self._attempt: asyncio.Future[None] | None = None
        """Done when the try is over that callers may wait for."""

    async def identity(self) -> str:
        return (self._ready() or await self._connected()).identity

    async def call(self, identity: str, command: Command) -> Any:
        connection = self._ready() or await self._connected()
        if connection.identity != identity:
            raise CacheUnavailable("another server answers than the one that was meant")
        return await connection.call(command)

    async def call_many(self, identity: str, commands: Sequence[Command]) -> list[Any]:
        connection = self._ready() or await self._connected()
        if connection.identity != identity:
            raise CacheUnavailable("another server answers than the one that was meant")
        return await connection.call_many(commands)

    def post(self, identity: str, command: Command, on_reply: OnReply | None = None) -> None:
        connection = self._ready()
        if connection is None or connection.identity != identity:
            raise CacheUnavailable("it is not connected to the server that was meant")
        connection.post(command, on_reply)

    def status(self) -> LinkStatus:
        return self._journal.status(self._state)

    async def close(self) -> None:
        """Everything that waits fails. To be called on the loop that used it last; on another one, what that loop holds ends with it."""
        self._state, self._reason = "closed", "the link was closed"
        keeper = self._keeper
        if keeper is not None and self._loop is asyncio.get_running_loop() and self._pid == os.getpid():
            keeper.cancel()
            await asyncio.wait([keeper])
        self._leave_loop()
        self._connection = None

    def _ready(self) -> AsyncConnection | None:
        connection = self._connection
        return connection if connection is not None and connection.loop is asyncio.get_running_loop() else None

    async def _connected(self) -> AsyncConnection:
        """The connection, after the try that may be waited for. Raises CacheUnavailable."""
        self._start()
        attempt = self._attempt
        if attempt is not None and not attempt.done():
            await asyncio.shield(attempt)  # it is everybody's: one who is cancelled must not take it along
        connection = self._ready()
        if connection is None:
            self._journal.refusals += 1
            raise CacheUnavailable(self._reason or "it is not connected")
        return connection

    def _start(self) -> None:
        """Sees to it that somebody keeps the connection, on this loop."""
        if self._state == "closed":
            raise CacheUnavailable("the link was closed")
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._leave_loop()
            self._loop = loop
        if self._keeper is None or self._keeper.done():
            self._state, self._connection, self._attempt = "connecting", None, loop.create_future()
            # Not in the context of the request that happened to be first: it would live as long as the connection.
            self._keeper = loop.create_task(self._keep(), name="sessile-redis", context=contextvars.Context())

    def _leave_loop(self) -> None:
        """Another loop, or another process. A loop that ended in order has ended our task, and so the connection, with it."""
        keeper, loop, self._keeper = self._keeper, self._loop, None
        if keeper is None or loop is None:
            return
        if self._pid != os.getpid():
            self._pid = os.getpid()
            _of_other_processes.extend((keeper, loop, self._connection))
        elif not keeper.done():
            with suppress(RuntimeError):  # that loop was closed without ending its tasks
                loop.call_soon_threadsafe(keeper.cancel)  # it may run in another thread

    async def _keep(self) -> None:
        """Connects, waits until the connection is lost, connects again; until it is cancelled."""
        attempt, connection = self._attempt, None
        assert attempt is not None
        try:
            while True:
                connection = await self._try()
                if connection is not None:
                    self._be("up", connection)
                if not attempt.done():
                    attempt.set_result(None)
                if connection is None:
                    await asyncio.sleep(self._journal.pause_s())
                    continue
                await asyncio.shield(connection.gone)
                self._journal.lost(is_timeout=connection.is_timeout)
                lived_s = connection.loop.time() - connection.opened_at
                if connection.is_timeout or lived_s < _GOOD_AFTER_S:
                    self._be_down(connection.reason)
                    await asyncio.sleep(self._journal.pause_s())
                else:
                    attempt = connection.loop.create_future()
                    if self._keeper is asyncio.current_task():
                        self._state, self._connection, self._attempt = "connecting", None, attempt
        finally:
            if not attempt.done():
                attempt.set_result(None)
            if connection is not None:
                await connection.closed()
            if self._keeper is asyncio.current_task():
                self._connection = None

    async def _try(self) -> AsyncConnection | None:
        """A greeted connection, or None when that failed."""
        reason, is_timeout = "", False
        try:
            async with asyncio.timeout(self._journal.limits.connect_timeout_s):
                return await self._connect()
        except TimeoutError:
            reason, is_timeout = "it did not take the connection in time", True
        except ssl.SSLError as error:
            reason = f"TLS failed ({error.reason or type(error).__name__})"
        except (OSError, ProtocolFault, CacheUnavailable) as error:
            reason = (
                str(error)
                if isinstance(error, CacheUnavailable)
                else (getattr(error, "strerror", None) or type(error).__name__)
            )
        self._journal.lost(is_timeout=is_timeout)
        self._be_down(reason)
        return None

    async def _connect(self) -> AsyncConnection:
        connection = await open_connection(await self._locate(), self._tls, self._journal, self._on_push)
        try:
            connection.identity = self._greeting.identity(await connection.call_many(self._greeting.commands()))
        except BaseException:
            await connection.closed()
            raise
        return connection

    def _be(self, state: State, connection: AsyncConnection) -> None:
        self._journal.went_up()
        if self._keeper is asyncio.current_task():
            self._state, self._connection, self._reason = state, connection, ""
            if self._on_up is not None:
                self._on_up(connection)

    def _be_down(self, reason: str) -> None:
        self._journal.went_down(reason)
        if self._keeper is asyncio.current_task():
            self._state, self._connection, self._reason = "down", None, reason
