"""Keeps one connection on one event loop: connects, notices its loss at once, connects again.

Breaker: while the server is down, nobody waits and one task tries, at growing pauses. Only the first try, and the first one after the loss of a
connection that had been good, may be waited for.
"""

from __future__ import annotations

import asyncio
import contextvars
import ssl
from collections.abc import Awaitable, Callable
from typing import Final

from sessile.model.fence import CacheUnavailable
from sessile.stores.redis.asyncio_connection import AsyncConnection
from sessile.stores.redis.link import Journal, State
from sessile.stores.redis.wire import ProtocolFault

_GOOD_AFTER_S: Final = 1.0
"""A connection that lived this long was good: its loss is worth a try at once."""


class Keeper:
    """`connect` gives a greeted connection. `attempt` is done when the try is over that may be waited for; it is never cancelled by who waits."""

    def __init__(
        self,
        connect: Callable[[], Awaitable[AsyncConnection]],
        journal: Journal,
        on_up: Callable[[], None] | None,
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self.connection: AsyncConnection | None = None
        self.state: State = "connecting"
        self.reason = ""
        self.attempt: asyncio.Future[None] = self.loop.create_future()
        self._connect = connect
        self._journal = journal
        self._on_up = on_up
        # Not in the context of the request that happened to be first: it would live as long as the connection.
        self.task = self.loop.create_task(self._keep(), name="sessile-redis", context=contextvars.Context())

    async def _keep(self) -> None:
        """Until it is cancelled, as all tasks are when their loop ends: so the socket never outlives the loop."""
        connection: AsyncConnection | None = None
        try:
            while True:
                connection = await self._try()
                if connection is not None:
                    await asyncio.shield(connection.gone)
                if self.state == "down":
                    await asyncio.sleep(self._journal.pause_s())
        finally:
            self._attempted()
            self.connection, self.state = None, "new"
            if connection is not None:
                connection.on_over = None  # not lost: given up
                await connection.closed()

    async def _try(self) -> AsyncConnection | None:
        """A connection that is used from now on, or None when that failed."""
        is_timeout = False
        try:
            async with asyncio.timeout(self._journal.limits.connect_timeout_s):
                connection = await self._connect()
        except TimeoutError:
            reason, is_timeout = "it did not take the connection in time", True
        except ssl.SSLError as error:
            reason = f"TLS failed ({error.reason or type(error).__name__})"
        except OSError as error:
            reason = error.strerror or type(error).__name__
        except CacheUnavailable as error:
            reason = str(error)
        except (ProtocolFault, UnicodeError):
            reason = "it does not answer like Redis"  # or is named with a host that can be none
        else:
            connection.on_over = self._over
            if connection.reason:
                self._over_with(connection)
            else:
                self._up(connection)
            return connection
        self._journal.lost(is_timeout=is_timeout)
        self._down(reason)
        return None

    def _up(self, connection: AsyncConnection) -> None:
        self._journal.went_up()
        self.connection, self.state, self.reason = connection, "up", ""
        self._attempted()
        if self._on_up is not None:
            self._on_up()

    def _down(self, reason: str) -> None:
        self._journal.went_down(reason)
        self.connection, self.state, self.reason = None, "down", reason
        self._attempted()

    def _over(self) -> None:
        assert self.connection is not None
        self._over_with(self.connection)

    def _over_with(self, connection: AsyncConnection) -> None:
        """At the very moment of the loss: nobody after this is told that there is a server."""
        self._journal.lost(is_timeout=connection.is_timeout)
        if connection.is_timeout or self.loop.time() - connection.opened_at < _GOOD_AFTER_S:
            self._down(connection.reason)
            return
        self._attempted()
        self.connection, self.state, self.reason = None, "connecting", connection.reason
        self.attempt = self.loop.create_future()

    def _attempted(self) -> None:
        if not self.attempt.done():
            self.attempt.set_result(None)
