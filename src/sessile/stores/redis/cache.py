"""`sessile.ports.Cache` on Redis, in both lanes. The protocol around it is `sessile.model.fence`; here are its single steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sessile.model.fence import CachePlace, CacheUnavailable, Miss, Publication
from sessile.model.health import CacheLink
from sessile.stores.redis import entries
from sessile.stores.redis.address import parse_address
from sessile.stores.redis.asyncio_connection import answered
from sessile.stores.redis.link import Limits, LinkStatus, OnReply
from sessile.stores.redis.route import Route
from sessile.stores.redis.topology import async_route, blocking_route
from sessile.stores.redis.wire import Command


class _RedisCache:
    """What both lanes do: they differ in the links only, and without an event loop no link suspends."""

    def __init__(self, route: Route, namespace: str) -> None:
        self._route = route
        self._namespace = entries.checked_namespace(namespace)

    def links(self) -> list[LinkStatus]:
        """How each connection is doing."""
        return self._route.status()

    def status(self) -> CacheLink:
        """Of all connections: as bad as the worst."""
        links = self.links()
        states = {link.state for link in links}
        worst = next((state for state in ("down", "connecting", "up") if state in states), "new")
        return CacheLink(
            worst,
            sum(link.failures for link in links),
            sum(link.timeouts for link in links),
            sum(link.refusals for link in links),
        )

    async def server(self) -> str:
        return await self._route.server()

    async def get(self, place: CachePlace, session_id: str) -> bytes | Miss:
        key = f"{self._namespace}:{place.epoch}:{session_id}"
        return entries.found(await self._route.call(place.server, key, ("GET", key)))

    async def lease(self, place: CachePlace, session_id: str, token: bytes) -> bool:
        key = entries.key_of(self._namespace, place, session_id)
        return entries.is_leased(await self._route.call(place.server, key, entries.lease(key, token)))

    async def fill(self, place: CachePlace, session_id: str, token: bytes, entry: bytes, ttl_s: float) -> None:
        key = entries.key_of(self._namespace, place, session_id)
        arguments = entries.fill(token, entry, ttl_s)
        self._post(place, key, entries.FILL.by_hash(key, *arguments), self._unknown(place, key, arguments))

    def _unknown(self, place: CachePlace, key: str, arguments: tuple[bytes | int, ...]) -> Callable[[Any], None]:
        def look(reply: Any) -> None:
            if entries.is_no_script(reply):
                self._post(place, key, entries.FILL.in_full(key, *arguments), None)

        return look

    def _post(self, place: CachePlace, key: str, command: Command, on_reply: OnReply | None) -> None:
        try:
            self._route.post(place.server, key, command, on_reply)
        except CacheUnavailable:
            return  # the lease lapses, and the next look fills

    async def mark(self, place: CachePlace, tokens: Sequence[tuple[str, bytes]]) -> None:
        keys = [(entries.key_of(self._namespace, place, session_id), token) for session_id, token in tokens]
        for reply in await self._route.call_many(
            place.server, [(key, entries.mark(key, token)) for key, token in keys]
        ):
            entries.check_done(reply)

    async def publish(self, place: CachePlace, publications: Sequence[Publication]) -> None:
        told = [
            (entries.key_of(self._namespace, place, one.session_id), entries.publication(one)) for one in publications
        ]
        commands = [(key, entries.PUBLISH.by_hash(key, *arguments)) for key, arguments in told]
        replies = await self._route.call_many(place.server, commands)
        again = [
            (key, entries.PUBLISH.in_full(key, *arguments))
            for (key, arguments), reply in zip(told, replies, strict=True)
            if entries.is_no_script(reply)
        ]
        replies = [reply for reply in replies if not entries.is_no_script(reply)]
        for reply in (*replies, *await self._route.call_many(place.server, again)):
            entries.check_published(reply)

    async def close(self) -> None:
        await self._route.close()


class AsyncRedisCache(_RedisCache):
    """On an event loop: one connection, shared by all. Raises ConfigurationError for a URL that cannot be used; connects at the first use."""

    async def get(self, place: CachePlace, session_id: str) -> bytes | Miss:
        key = f"{self._namespace}:{place.epoch}:{session_id}"
        command = ("GET", key)
        future = self._route.at_once(place.server, key, command)
        return entries.found(
            await self._route.call(place.server, key, command) if future is None else answered(await future)
        )

    def __init__(self, url: str, *, namespace: str = "sessile", limits: Limits | None = None) -> None:
        super().__init__(async_route(parse_address(url), limits or Limits()), namespace)


class BlockingRedisCache(_RedisCache):
    """Never suspends: one connection for each thread that uses it at once. Raises as AsyncRedisCache does."""

    def __init__(self, url: str, *, namespace: str = "sessile", limits: Limits | None = None) -> None:
        super().__init__(blocking_route(parse_address(url), limits or Limits()), namespace)
