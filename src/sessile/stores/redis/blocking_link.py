"""The way to one server without an event loop: a stack of connections, as many as threads use at once.

Breaker: after a failure nobody tries before `retry_at`; then one thread does, and the others fail at once.
"""

from __future__ import annotations

import os
import ssl
import threading
import time
from collections.abc import Sequence
from typing import Any, Final

from sessile.model.fence import CacheUnavailable
from sessile.stores.redis.blocking_connection import BlockingConnection, open_socket, wants_new_look
from sessile.stores.redis.link import OTHER_SERVER, Journal, Limits, LinkStatus, Locate, OnReply, State
from sessile.stores.redis.wire import Command, Greeting, ProtocolFault, ServerFault

_KEPT_MAX: Final = 128


class BlockingLink:
    """`locate` says where the server is, before each connect. Safe to use from threads, and after a fork. Its methods never suspend."""

    def __init__(
        self,
        name: str,
        locate: Locate,
        greeting: Greeting,
        *,
        tls: ssl.SSLContext | None = None,
        limits: Limits | None = None,
    ) -> None:
        self._locate = locate
        self._greeting = greeting
        self._tls = tls
        self._limits = limits or Limits()
        self._journal = Journal(name, self._limits)
        self._is_closed = False
        self._begin()

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._idle: list[BlockingConnection] = []
        self._lock = threading.Lock()
        self._probe = threading.Lock()
        self._state: State = "new"
        self._reason = ""
        self._retry_at = 0.0
        self._identity = ""
        self._generation = 0

    async def identity(self) -> str:
        connection = self._idle_one() or await self._connect()
        self._put_back(connection)
        return connection.identity

    async def call(self, identity: str, command: Command) -> Any:
        connection = self._idle_one() or await self._connect()
        if connection.identity != identity:
            self._put_back(connection)
            raise CacheUnavailable(OTHER_SERVER)
        try:
            reply = connection.exchange_one(command)
        except (OSError, ProtocolFault) as error:
            connection.close()
            raise self._failed(error) from None
        except BaseException:
            connection.close()  # interrupted: the reply would be taken for the next one
            raise
        if type(reply) is ServerFault and wants_new_look((reply,)):
            connection.close()
            self._drop_idle()
        else:
            self._put_back(connection)
        return reply

    def at_once(self, identity: str, command: Command) -> None:
        """There is no loop to wait on: ask `call`."""

    async def call_many(self, identity: str, commands: Sequence[Command]) -> list[Any]:
        if not commands:
            return []
        return self._exchange(self._idle_one() or await self._connect(), identity, commands)

    def post(self, identity: str, command: Command, on_reply: OnReply | None = None) -> None:
        # It waits after all: a reply left behind on the socket would have to be read by the next call, for a saving on misses only.
        connection = self._idle_one()
        if connection is None:
            raise CacheUnavailable(self._reason or "it is not connected")
        reply = self._exchange(connection, identity, (command,))[0]
        if on_reply is not None:
            on_reply(reply)

    def status(self) -> LinkStatus:
        return self._journal.status(self._state)

    async def close(self) -> None:
        self._is_closed = True
        self._state = "closed"
        self._drop_idle()

    def _exchange(self, connection: BlockingConnection, identity: str, commands: Sequence[Command]) -> list[Any]:
        if connection.identity != identity:
            self._put_back(connection)
            raise CacheUnavailable(OTHER_SERVER)
        try:
            replies = connection.exchange(commands)
        except (OSError, ProtocolFault) as error:
            connection.close()
            raise self._failed(error) from None
        except BaseException:
            connection.close()  # interrupted: the reply would be taken for the next one
            raise
        if wants_new_look(replies):
            connection.close()
            self._drop_idle()
        else:
            self._put_back(connection)
        return replies

    def _idle_one(self) -> BlockingConnection | None:
        """A connection that nobody uses, to be used by the caller alone."""
        if self._pid != os.getpid():
            self._leave_parent()
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                return None
            if connection.generation == self._generation and connection.is_fresh():
                return connection
            connection.close()

    def _put_back(self, connection: BlockingConnection) -> None:
        if connection.generation != self._generation or self._is_closed or len(self._idle) >= _KEPT_MAX:
            connection.close()
        else:
            self._idle.append(connection)

    def _leave_parent(self) -> None:
        """After a fork: its connections are not ours to use. Closing them here takes nothing from the parent."""
        for connection in self._idle:
            connection.close()
        self._begin()

    async def _connect(self) -> BlockingConnection:
        """Another one. Raises CacheUnavailable."""
        if self._is_closed:
            raise CacheUnavailable("the link was closed")
        if self._state != "down":
            return await self._try()
        if time.monotonic() < self._retry_at or not self._probe.acquire(blocking=False):
            self._journal.refusals += 1
            raise CacheUnavailable(self._reason)
        try:
            return await self._try()
        finally:
            self._probe.release()

    async def _try(self) -> BlockingConnection:
        deadline = time.monotonic() + self._limits.connect_timeout_s
        generation = self._generation
        try:
            node = await self._locate()
            connection = open_socket(
                node, self._tls, self._limits.call_timeout_s, max(0.001, deadline - time.monotonic())
            )
        except (OSError, UnicodeError, CacheUnavailable) as error:
            raise self._failed(error) from None
        try:
            connection.identity = self._greeting.identity(connection.exchange(self._greeting.commands()))
        except (OSError, ProtocolFault, CacheUnavailable) as error:
            connection.close()
            raise self._failed(error) from None
        except BaseException:
            connection.close()
            raise
        self._succeeded(connection, generation)
        return connection

    def _succeeded(self, connection: BlockingConnection, generation: int) -> None:
        with self._lock:
            connection.generation = generation
            if connection.identity != self._identity and generation == self._generation:
                # Another server has taken over: connections to the one before are not used any more.
                self._identity = connection.identity
                self._empty()
                connection.generation = self._generation
            self._journal.went_up()
            if not self._is_closed:
                self._state = "up"

    def _failed(self, error: Exception) -> CacheUnavailable:
        """Closes what is idle, too: it leads to the same server. The error to raise."""
        reason = _reason(error)
        with self._lock:
            self._empty()
            self._journal.lost(is_timeout=isinstance(error, TimeoutError))
            self._journal.went_down(reason)
            self._retry_at = time.monotonic() + self._journal.pause_s()
            self._reason = reason
            if not self._is_closed:
                self._state = "down"
        return CacheUnavailable(reason)

    def _drop_idle(self) -> None:
        with self._lock:
            self._empty()

    def _empty(self) -> None:
        """The lock is held. A connection that is in use now is closed when it is put back."""
        self._generation += 1
        idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()


def _reason(error: Exception) -> str:
    if isinstance(error, CacheUnavailable):
        return str(error)
    if isinstance(error, TimeoutError):
        return "it did not answer in time"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed ({error.reason or type(error).__name__})"
    if isinstance(error, OSError):
        return error.strerror or str(error) or type(error).__name__
    return "it does not answer like Redis"
