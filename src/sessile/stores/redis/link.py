"""What the connections of both lanes share: limits, figures, the pauses between tries, and what is logged."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from random import SystemRandom
from typing import Any, Final, Literal, Protocol

from sessile.stores.redis.address import Node
from sessile.stores.redis.wire import Command

logger: Final = logging.getLogger("sessile.redis")
State = Literal["new", "connecting", "up", "down", "closed"]
OnReply = Callable[[Any], None]
Locate = Callable[[], Awaitable[Node]]
"""Where the server is now. In the blocking lane it never suspends. Raises CacheUnavailable."""
OTHER_SERVER: Final = "another server answers than the one that was meant"
_random: Final = SystemRandom()


@dataclass(frozen=True, slots=True)
class Limits:
    """In seconds, calls and bytes. `call_timeout_s`: after it nobody waits, and the connection is dropped, because the late answer would be taken
    for the next one."""

    call_timeout_s: float = 0.25
    connect_timeout_s: float = 0.5
    pending_max: int = 20_000
    unsent_bytes_max: int = 8 * 1024 * 1024
    pause_min_s: float = 0.05
    pause_max_s: float = 1.0


@dataclass(frozen=True, slots=True)
class LinkStatus:
    """How a connection is doing. Counted since it was made: `connects` that succeeded, `failures` (tries that did not, and connections lost),
    `timeouts` among them, and `refusals`: calls that failed at once because it was down or full."""

    name: str
    state: State
    connects: int
    failures: int
    timeouts: int
    refusals: int


class Link(Protocol):
    """The way to one server. In the blocking lane no method suspends. All but `status` and `close` raise CacheUnavailable; a reply may be a
    ServerFault."""

    async def identity(self) -> str:
        """Of the server that would be asked now; connects if need be."""
        ...

    async def call(self, identity: str, command: Command) -> Any:
        """The reply of the server of that identity; of no other."""
        ...

    def at_once(self, identity: str, command: Command) -> asyncio.Future[Any] | None:
        """The reply in a future, to be given to `answered`; None where `call` has to be asked."""
        ...

    async def call_many(self, identity: str, commands: Sequence[Command]) -> list[Any]:
        """The replies, in order; the commands go out in one write."""
        ...

    def post(self, identity: str, command: Command, on_reply: OnReply | None = None) -> None:
        """Sends without waiting; does not connect. `on_reply` gets the reply if there is one."""
        ...

    def status(self) -> LinkStatus: ...

    async def close(self) -> None: ...


class Journal:
    """Counts what happens to a connection, and logs each change between up and down once."""

    def __init__(self, name: str, limits: Limits) -> None:
        self.name = name
        self.limits = limits
        self._pause_s = limits.pause_min_s
        self._is_told_down = False
        self.connects = 0
        self.failures = 0
        self.timeouts = 0
        self.refusals = 0

    def went_up(self) -> None:
        self.connects += 1
        self._pause_s = self.limits.pause_min_s
        if self._is_told_down or self.connects == 1:
            self._is_told_down = False
            logger.info("The cache at %s answers", self.name, extra={"event_name": "cache_up"})

    def lost(self, *, is_timeout: bool = False) -> None:
        """A try that failed, or a connection that ended."""
        self.failures += 1
        self.timeouts += is_timeout

    def went_down(self, reason: str) -> None:
        """`reason` must not hold anything that a server or a user wrote."""
        if not self._is_told_down:
            self._is_told_down = True
            logger.warning(
                "The cache at %s cannot be used, the database answers instead: %s",
                self.name,
                reason,
                extra={"event_name": "cache_down"},
            )

    def pause_s(self) -> float:
        """How long to wait before the next try: it doubles, and half of it is chance, so that processes do not come back all at once."""
        pause_s = self._pause_s
        self._pause_s = min(self.limits.pause_max_s, 2 * pause_s)
        return pause_s * _random.uniform(0.5, 1.0)

    def status(self, state: State) -> LinkStatus:
        return LinkStatus(self.name, state, self.connects, self.failures, self.timeouts, self.refusals)
