"""The way to one server from an event loop: one connection that all share, that comes back by itself, and for which nobody waits long."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, Final

from sessile.model.fence import CacheUnavailable
from sessile.stores.redis.asyncio_connection import AsyncConnection, OnPush, answered, open_connection
from sessile.stores.redis.asyncio_keeper import Keeper
from sessile.stores.redis.link import OTHER_SERVER, Journal, Limits, LinkStatus, Locate, OnReply
from sessile.stores.redis.wire import Command, Greeting

_of_parents: Final[list[Keeper]] = []
"""What a fork has left us is kept and never touched: closing it would take its file descriptors out of the parent's poll set."""


class AsyncLink:
    """`locate` says where the server is, before each connect; `prepare` says more on a new connection, before anybody else; `on_up` hears of each. Used from another event loop than before, it starts over there; two loops that run at
    the same time need a link each."""

    def __init__(
        self,
        name: str,
        locate: Locate,
        greeting: Greeting,
        *,
        tls: ssl.SSLContext | None = None,
        limits: Limits | None = None,
        on_push: OnPush | None = None,
        prepare: Callable[[AsyncConnection], Awaitable[None]] | None = None,
        on_up: Callable[[], None] | None = None,
    ) -> None:
        self._locate = locate
        self._greeting = greeting
        self._tls = tls
        self._on_push = on_push
        self._prepare = prepare
        self._on_up = on_up
        self._journal = Journal(name, limits or Limits())
        self._keeper: Keeper | None = None
        self._pid = os.getpid()
        self._is_closed = False

    async def identity(self) -> str:
        return (self._ready() or await self._connected()).identity

    async def call(self, identity: str, command: Command) -> Any:
        connection = self._ready() or await self._connected()
        if connection.identity != identity:
            raise CacheUnavailable(OTHER_SERVER)
        return answered(await connection.submit(command))

    def at_once(self, identity: str, command: Command) -> asyncio.Future[Any] | None:
        keeper = self._keeper
        if keeper is None or (connection := keeper.connection) is None or connection.identity != identity:
            return None
        return connection.submit(command) if keeper.loop is asyncio.get_running_loop() else None

    async def call_many(self, identity: str, commands: Sequence[Command]) -> list[Any]:
        connection = self._ready() or await self._connected()
        if connection.identity != identity:
            raise CacheUnavailable(OTHER_SERVER)
        return await connection.call_many(commands)

    def post(self, identity: str, command: Command, on_reply: OnReply | None = None) -> None:
        connection = self._ready()
        if connection is None or connection.identity != identity:
            raise CacheUnavailable(OTHER_SERVER)
        connection.post(command, on_reply)

    def drop(self, reason: str) -> None:
        """Gives the connection up, so that the server is looked up again."""
        connection = self._ready()
        if connection is not None:
            connection.abort(reason)

    def identity_now(self) -> str:
        """Of the server that it is connected to. Raises CacheUnavailable when it is not."""
        connection = self._ready()
        if connection is None:
            raise CacheUnavailable("it is not connected")
        return connection.identity

    def status(self) -> LinkStatus:
        if self._is_closed:
            return self._journal.status("closed")
        return self._journal.status("new" if self._keeper is None else self._keeper.state)

    async def close(self) -> None:
        """Everything that waits fails. To be called on the loop that used it last; on another one, what that loop holds ends with it."""
        self._is_closed = True
        keeper = self._keeper
        if keeper is not None and keeper.loop is asyncio.get_running_loop() and self._pid == os.getpid():
            keeper.task.cancel()
            await asyncio.wait([keeper.task])
        self._leave()

    def _ready(self) -> AsyncConnection | None:
        keeper = self._keeper
        return keeper.connection if keeper is not None and keeper.loop is asyncio.get_running_loop() else None

    async def _connected(self) -> AsyncConnection:
        """The connection, after the try that may be waited for. Raises CacheUnavailable."""
        keeper = self._kept()
        if not keeper.attempt.done():
            await asyncio.shield(keeper.attempt)
        if keeper.connection is None:
            self._journal.refusals += 1
            raise CacheUnavailable(keeper.reason or "it is not connected")
        return keeper.connection

    def _kept(self) -> Keeper:
        """Somebody who keeps the connection, on this loop."""
        if self._is_closed:
            raise CacheUnavailable("the link was closed")
        keeper = self._keeper
        if keeper is None or keeper.loop is not asyncio.get_running_loop() or keeper.task.done():
            self._leave()
            self._keeper = keeper = Keeper(self._connect, self._journal, self._on_up)
        return keeper

    def _leave(self) -> None:
        """Another loop, or another process. A loop that ended in order has ended the keeper, and so the connection, with it."""
        keeper, self._keeper = self._keeper, None
        if keeper is None:
            return
        if self._pid != os.getpid():
            self._pid = os.getpid()
            _of_parents.append(keeper)
        elif not keeper.task.done():
            with suppress(RuntimeError):  # that loop was closed without ending its tasks
                keeper.loop.call_soon_threadsafe(keeper.task.cancel)  # it may run in another thread

    async def _connect(self) -> AsyncConnection:
        connection = await open_connection(await self._locate(), self._tls, self._journal, self._on_push)
        try:
            connection.identity = self._greeting.identity(await connection.call_many(self._greeting.commands()))
            if self._prepare is not None:
                await self._prepare(connection)
        except BaseException:
            await connection.closed()
            raise
        return connection
