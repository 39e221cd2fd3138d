"""Which server is asked for which key: one server, always the same, or the present master of one service."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Protocol

from sessile.stores.redis.link import Link, LinkStatus, OnReply
from sessile.stores.redis.wire import Command

Keyed = tuple[str, Command]


class Route(Protocol):
    """All but `status` and `close` raise CacheUnavailable; a reply may be a ServerFault. `server`: the identity that is meant; no other server is asked."""

    async def server(self) -> str:
        """The identity of what would be asked now; connects if need be."""
        ...

    async def call(self, server: str, key: str, command: Command) -> Any: ...

    def at_once(self, server: str, key: str, command: Command) -> asyncio.Future[Any] | None:
        """What `answered` makes the reply of when it is awaited; None where that is not possible at once, and always in the blocking lane: then `call`.
        Reads of sessions pass here, so there is nothing around the future."""
        ...

    async def call_many(self, server: str, commands: Sequence[Keyed]) -> list[Any]:
        """Replies in the order of the commands."""
        ...

    def post(self, server: str, key: str, command: Command, on_reply: OnReply | None) -> None:
        """Sends without waiting."""
        ...

    def status(self) -> list[LinkStatus]: ...

    async def close(self) -> None: ...


class DirectRoute:
    """Everything is on one server at a time."""

    def __init__(self, link: Link) -> None:
        self._link = link

    async def server(self) -> str:
        return await self._link.identity()

    async def call(self, server: str, key: str, command: Command) -> Any:
        return await self._link.call(server, command)

    def at_once(self, server: str, key: str, command: Command) -> asyncio.Future[Any] | None:
        return self._link.at_once(server, command)

    async def call_many(self, server: str, commands: Sequence[Keyed]) -> list[Any]:
        return await self._link.call_many(server, [command for _, command in commands])

    def post(self, server: str, key: str, command: Command, on_reply: OnReply | None) -> None:
        self._link.post(server, command, on_reply)

    def status(self) -> list[LinkStatus]:
        return [self._link.status()]

    async def close(self) -> None:
        await self._link.close()
