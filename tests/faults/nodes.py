"""A node of a round: a manager of one lane, with a network of its own to Redis and to the database, each behind a proxy."""

from __future__ import annotations

import asyncio
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Sequence
from contextlib import ExitStack
from operator import attrgetter
from typing import Any, Final

from sessile.engine.caching import SessionCache
from sessile.model.fence import CachePlace, Miss, Publication
from sessile.model.health import CacheLink
from sessile.ports import Cache
from sessile.runtime.blocking import SessionManager
from sessile.runtime.caching import make_cache
from sessile.runtime.lane import drive
from sessile.runtime.manager import AsyncSessionManager
from sessile.runtime.settings import Settings
from sessile.testing.fault_proxy import FaultProxy

_ENDS_WITHIN_S: Final = 30.0
Work = Callable[[], Coroutine[Any, Any, None]]


class CountingCache:
    """The node's cache; `hits` are the reads that it answered with an entry."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        self.hits = 0

    async def server(self) -> str:
        return await self._cache.server()

    async def get(self, place: CachePlace, session_id: str) -> bytes | Miss:
        found = await self._cache.get(place, session_id)
        self.hits += isinstance(found, bytes)
        return found

    async def lease(self, place: CachePlace, session_id: str, token: bytes) -> bool:
        return await self._cache.lease(place, session_id, token)

    async def fill(self, place: CachePlace, session_id: str, token: bytes, entry: bytes, ttl_s: float) -> None:
        await self._cache.fill(place, session_id, token, entry, ttl_s)

    async def mark(self, place: CachePlace, tokens: Sequence[tuple[str, bytes]]) -> None:
        await self._cache.mark(place, tokens)

    async def publish(self, place: CachePlace, publications: Sequence[Publication]) -> None:
        await self._cache.publish(place, publications)

    def status(self) -> CacheLink:
        return self._cache.status()

    async def close(self) -> None:
        await self._cache.close()


class Node(ABC):
    """`redis` and `sql` are its proxies; None where it has none. `call` asks its manager for a verb, by its path."""

    lane: str
    manager: Any

    def __init__(self, name: str, settings: Settings, redis: FaultProxy | None, sql: FaultProxy | None) -> None:
        self.name = name
        self.settings = settings
        self.redis = redis
        self.sql = sql
        cache = make_cache(settings, blocking=self.lane == "blocking")
        assert cache is not None, "a round needs a cache"
        self.cache = CountingCache(cache)

    @abstractmethod
    async def call(self, verb: str, *args: Any, **options: Any) -> Any: ...

    @abstractmethod
    async def sleep(self, seconds: float) -> None: ...

    @abstractmethod
    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """What it returns; called from a thread that is none of the node's."""

    @property
    def cached(self) -> SessionCache:
        """What reads through the cache."""
        found: SessionCache = self.manager._cached
        return found

    @abstractmethod
    def begin(self, work: Work) -> None:
        """Has it done beside everything else."""

    @abstractmethod
    def join(self) -> None:
        """Returns when all that was begun has ended. Raises what it raised."""

    @abstractmethod
    def close(self) -> None: ...


class AsyncioNode(Node):
    lane = "asyncio"

    def __init__(
        self, name: str, settings: Settings, redis: FaultProxy | None = None, sql: FaultProxy | None = None
    ) -> None:
        super().__init__(name, settings, redis, sql)
        self.manager = AsyncSessionManager(settings, cache=self.cache)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"node-{name}", daemon=True)
        self._thread.start()
        self._begun: list[Any] = []
        self.run(self.manager.open())

    async def call(self, verb: str, *args: Any, **options: Any) -> Any:
        return await attrgetter(verb)(self.manager)(*args, **options)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(_ENDS_WITHIN_S)

    def begin(self, work: Work) -> None:
        self._begun.append(asyncio.run_coroutine_threadsafe(work(), self._loop))

    def join(self) -> None:
        while self._begun:
            self._begun.pop().result(_ENDS_WITHIN_S)

    def close(self) -> None:
        self.run(self.manager.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_ENDS_WITHIN_S)
        self._loop.close()


class BlockingNode(Node):
    lane = "blocking"

    def __init__(
        self, name: str, settings: Settings, redis: FaultProxy | None = None, sql: FaultProxy | None = None
    ) -> None:
        super().__init__(name, settings, redis, sql)
        self.manager = SessionManager(settings, cache=self.cache)
        self._threads: list[threading.Thread] = []
        self._failures: list[BaseException] = []
        self.manager.open()

    async def call(self, verb: str, *args: Any, **options: Any) -> Any:
        return attrgetter(verb)(self.manager)(*args, **options)

    async def sleep(self, seconds: float) -> None:
        time.sleep(seconds)  # noqa: ASYNC251 - the lane without an event loop

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return drive(coroutine)

    def begin(self, work: Work) -> None:
        thread = threading.Thread(target=self._work, args=(work,), name=f"node-{self.name}", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _work(self, work: Work) -> None:
        try:
            drive(work())
        except BaseException as error:  # noqa: BLE001 - raised where it is joined
            self._failures.append(error)

    def join(self) -> None:
        while self._threads:
            thread = self._threads.pop()
            thread.join(_ENDS_WITHIN_S)
            assert not thread.is_alive(), f"{self.name}: a call did not end within {_ENDS_WITHIN_S:g} s"
        if self._failures:
            raise self._failures[0]

    def close(self) -> None:
        self.manager.close()


LANES: Final[dict[str, Callable[..., Node]]] = {"asyncio": AsyncioNode, "blocking": BlockingNode}
MakeUrl = Callable[[int], str]


def proxied(
    stack: ExitStack, lane: str, name: str, redis: tuple[int, MakeUrl], sql: tuple[int, MakeUrl] | None, **settings: Any
) -> Node:
    """A node whose ways to these ports lead through proxies; closed with the stack. Without `sql` the database is named in the settings."""
    way = stack.enter_context(FaultProxy("127.0.0.1", redis[0]))
    settings["redis_url"] = redis[1](way.port)
    other = None
    if sql is not None:
        other = stack.enter_context(FaultProxy("127.0.0.1", sql[0]))
        settings["database_url"] = sql[1](other.port)
    node = LANES[lane](name, Settings(**settings), way, other)
    stack.callback(node.close)
    return node
