"""News between processes through Redis pub/sub; sharded on a cluster, where a channel lives on one master.

News is a hint: what is published while the server is away is lost, and a listener who was away hears of it by `on_gap`. The truth is in the store.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Final

from sessile.model.fence import CacheUnavailable
from sessile.stores.redis.address import Address, Node, Topology, parse_address
from sessile.stores.redis.asyncio_connection import AsyncConnection
from sessile.stores.redis.asyncio_link import AsyncLink
from sessile.stores.redis.lanes import AsyncLane
from sessile.stores.redis.link import Limits, LinkStatus, Locate
from sessile.stores.redis.sentinel import Sentinels, fixed
from sessile.stores.redis.slots import SlotMap, key_slot
from sessile.stores.redis.wire import Command, Greeting, ServerFault, unavailable

logger: Final = logging.getLogger("sessile.redis")
PING_S: Final = 5.0
"""A half-open connection says nothing by itself, so it is asked now and then."""


class _Channel:
    """Where a channel is, and what is said there."""

    def __init__(self, address: Address, channel: str, lane: AsyncLane) -> None:
        self.name = f"{address}, channel {channel}"
        self.greeting = Greeting(address.login, address.database, in_cluster=address.topology is Topology.CLUSTER)
        self.locate = _locate(address, channel, lane)
        self._channel = channel
        self._prefix = "S" if self.greeting.in_cluster else ""

    def subscription(self) -> Command:
        return (f"{self._prefix}SUBSCRIBE", self._channel)

    def publication(self, payload: bytes) -> Command:
        return (f"{self._prefix}PUBLISH", self._channel, payload)


def _locate(address: Address, channel: str, lane: AsyncLane) -> Locate:
    if address.topology is Topology.SENTINEL:
        return Sentinels(address, lane).locate
    if address.topology is Topology.SINGLE:
        return fixed(address.nodes[0])
    slots, slot = SlotMap(address, lane), key_slot(channel)

    async def locate() -> Node:
        return await slots.owner(slot)

    return locate


class AsyncRedisBus:
    """`on_message` gets each payload, one's own, too. `on_gap` is called each time it begins to hear, the first time as well: what was told before was not
    heard. Both are called on the loop and must not wait. Raises ConfigurationError for a URL that cannot be used."""

    def __init__(
        self,
        url: str,
        channel: str,
        *,
        on_message: Callable[[bytes], None],
        on_gap: Callable[[], None],
        limits: Limits | None = None,
    ) -> None:
        address = parse_address(url)
        tls, limits = address.tls_context(), limits or Limits()
        self._on_message = on_message
        self._on_gap = on_gap
        self._channel = _Channel(address, channel, AsyncLane(tls, limits))
        self._link = AsyncLink(
            self._channel.name,
            self._channel.locate,
            self._channel.greeting,
            tls=tls,
            limits=limits,
            on_push=self._heard,
            prepare=self._subscribe,
            on_up=self._began,
        )
        self._watcher: asyncio.Task[None] | None = None
        self._refusal = ""

    async def open(self) -> None:
        """Begins to listen; returns when the first try is over, even if it failed: it is tried until `close`."""
        self._watcher = asyncio.create_task(self._watch(), name="sessile-redis-bus")
        await self._ask()

    @property
    def is_up(self) -> bool:
        """Whether it is connected just now."""
        return self._link.status().state == "up"

    def publish(self, payload: bytes) -> None:
        """Sends without waiting; lost when the server is away."""
        try:
            identity = self._link.identity_now()
            self._link.post(identity, self._channel.publication(payload), self._published)
        except CacheUnavailable:
            return  # whoever was cut off hears of the gap

    def status(self) -> LinkStatus:
        """How its connection is doing."""
        return self._link.status()

    async def close(self) -> None:
        """To be called on the loop that opened it."""
        watcher, self._watcher = self._watcher, None
        if watcher is not None:
            watcher.cancel()
            await asyncio.wait([watcher])
        await self._link.close()

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(PING_S)
            await self._ask()

    async def _ask(self) -> None:
        """Whoever does not answer is given up by the link, which connects again."""
        try:
            await self._link.call(await self._link.identity(), ("PING",))
        except CacheUnavailable:
            return

    async def _subscribe(self, connection: AsyncConnection) -> None:
        """A subscription is confirmed by a push, but refused by a reply. Nobody else uses the connection yet: the next reply shows which it was."""
        connection.tell(self._channel.subscription())
        reply = await connection.call(("PING",))
        if isinstance(reply, ServerFault):
            raise unavailable(reply)

    def _published(self, reply: Any) -> None:
        if not isinstance(reply, ServerFault):
            self._refusal = ""
        elif reply.code == "MOVED":
            self._link.drop("the channel has moved to another node")
        elif reply.code != self._refusal:
            self._refusal = reply.code
            logger.warning(
                "News cannot be told to %s: %s",
                self._channel.name,
                unavailable(reply),
                extra={"event_name": "news_refused"},
            )

    def _began(self) -> None:
        self._call(self._on_gap)

    def _heard(self, push: list[Any]) -> None:
        kind = push[0]
        if kind in {b"message", b"smessage"}:
            self._call(self._on_message, push[2])
        elif kind == b"sunsubscribe":
            self._link.drop("the channel has moved to another node")

    def _call(self, callback: Callable[..., None], *arguments: bytes) -> None:
        try:
            callback(*arguments)
        except Exception:
            logger.exception(
                "A listener to news failed; the others go on", extra={"event_name": "news_listener_failed"}
            )
