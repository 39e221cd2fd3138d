"""What a topology needs from its lane: links, a question to a server that is no link, things done together, and things done by one for all."""

from __future__ import annotations

import asyncio
import contextvars
import os
import ssl
import threading
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, Protocol, TypeVar

from sessile.model.fence import CacheUnavailable
from sessile.stores.redis.address import Login, Node
from sessile.stores.redis.asyncio_connection import open_connection
from sessile.stores.redis.asyncio_link import AsyncLink
from sessile.stores.redis.blocking_connection import open_socket
from sessile.stores.redis.blocking_link import BlockingLink
from sessile.stores.redis.link import Journal, Limits, Link, Locate
from sessile.stores.redis.wire import Command, Greeting, ProtocolFault, ServerFault, unavailable

T = TypeVar("T")
Work = Callable[[], Awaitable[None]]


class Turns(Protocol):
    """Sees to it that a piece of work is done by one for all. The work raises nothing."""

    def begin(self, work: Work) -> Awaitable[None]:
        """Has it done, unless somebody is at it, without waiting for others."""
        ...

    def finish(self, work: Work) -> Awaitable[None]:
        """Has it done, or waits for who is at it; returns when it is done."""
        ...

    async def close(self) -> None: ...


class Lane(Protocol):
    limits: Limits

    def link(self, name: str, locate: Locate, greeting: Greeting) -> Link: ...

    async def ask(self, node: Node, login: Login, question: Command, within_s: float) -> Any:
        """The reply of a server, whatever its role, on a connection of its own. Raises CacheUnavailable."""
        ...

    async def together(self, works: Sequence[Awaitable[T]]) -> list[T]:
        """All of them, at once where that is possible. Raises the first error when all are over."""
        ...

    def turns(self) -> Turns: ...


def _asked(login: Login, question: Command) -> list[Command]:
    return [("AUTH", login.user, login.password), question] if login.password else [question]


def _told(replies: Sequence[Any]) -> Any:
    for reply in replies:
        if isinstance(reply, ServerFault):
            raise unavailable(reply)
    return replies[-1]


class AsyncLane:
    def __init__(self, tls: ssl.SSLContext | None, limits: Limits) -> None:
        self.limits = limits
        self._tls = tls

    def link(self, name: str, locate: Locate, greeting: Greeting) -> Link:
        return AsyncLink(name, locate, greeting, tls=self._tls, limits=self.limits)

    async def ask(self, node: Node, login: Login, question: Command, within_s: float) -> Any:
        try:
            async with asyncio.timeout(within_s):
                connection = await open_connection(node, self._tls, Journal(str(node), self.limits))
                try:
                    return _told(await connection.call_many(_asked(login, question)))
                finally:
                    await connection.closed()
        except (OSError, UnicodeError, ProtocolFault) as error:
            raise CacheUnavailable(f"{node} does not answer") from error

    async def together(self, works: Sequence[Awaitable[T]]) -> list[T]:
        if len(works) == 1:
            return [await works[0]]
        done = await asyncio.gather(*works, return_exceptions=True)
        results: list[T] = []
        for one in done:
            if isinstance(one, BaseException):
                raise one
            results.append(one)
        return results

    def turns(self) -> Turns:
        return _AsyncTurns()


class _AsyncTurns:
    """One task at a time, on the loop that asks."""

    def __init__(self) -> None:
        self._task: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def begin(self, work: Work) -> None:
        self._running(work)

    async def finish(self, work: Work) -> None:
        await asyncio.wait([self._running(work)])

    def _running(self, work: Work) -> asyncio.Task[None]:
        loop = asyncio.get_running_loop()
        if self._task is None or self._task.done() or self._loop is not loop:
            self._loop = loop
            self._task = loop.create_task(_run(work), name="sessile-redis-look", context=contextvars.Context())
        return self._task

    async def close(self) -> None:
        task = self._task
        if task is not None and self._loop is asyncio.get_running_loop():
            task.cancel()
            with suppress(asyncio.CancelledError):
                await asyncio.wait([task])


async def _run(work: Work) -> None:
    await work()


class BlockingLane:
    """No method suspends."""

    def __init__(self, tls: ssl.SSLContext | None, limits: Limits) -> None:
        self.limits = limits
        self._tls = tls

    def link(self, name: str, locate: Locate, greeting: Greeting) -> Link:
        return BlockingLink(name, locate, greeting, tls=self._tls, limits=self.limits)

    async def ask(self, node: Node, login: Login, question: Command, within_s: float) -> Any:
        try:
            connection = open_socket(node, self._tls, within_s, within_s)
            try:
                return _told(connection.exchange(_asked(login, question)))
            finally:
                connection.close()
        except (OSError, UnicodeError, ProtocolFault) as error:
            raise CacheUnavailable(f"{node} does not answer") from error

    async def together(self, works: Sequence[Awaitable[T]]) -> list[T]:
        results: list[T] = []
        first: CacheUnavailable | None = None
        for work in works:
            try:
                results.append(await work)
            except CacheUnavailable as error:
                first = first or error
        if first is not None:
            raise first
        return results

    def turns(self) -> Turns:
        return _BlockingTurns(self.limits)


class _BlockingTurns:
    """One thread at a time."""

    def __init__(self, limits: Limits) -> None:
        self._wait_s = 2 * limits.connect_timeout_s
        self._pid = os.getpid()
        self._lock = threading.Lock()

    async def begin(self, work: Work) -> None:
        lock = self._own()
        if lock.acquire(blocking=False):
            await _hold(lock, work)

    async def finish(self, work: Work) -> None:
        lock = self._own()
        if lock.acquire(blocking=False):
            await _hold(lock, work)
        elif lock.acquire(timeout=self._wait_s):
            lock.release()  # who had it did the work

    def _own(self) -> threading.Lock:
        """After a fork another one: nobody here would release what a thread of the parent holds."""
        if self._pid != os.getpid():
            self._pid, self._lock = os.getpid(), threading.Lock()
        return self._lock

    async def close(self) -> None:
        """Nothing is under way that is not waited for."""


async def _hold(lock: threading.Lock, work: Work) -> None:
    try:
        await work()
    finally:
        lock.release()
