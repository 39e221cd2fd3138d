"""Processes that share rows and a cache, with every await a place where anything else may happen. No event loop and no real time: `World.run` draws
which operation goes on, when a moment passes, and what fails."""

from __future__ import annotations

import random
import types
from collections.abc import Callable, Coroutine, Generator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypeVar

from sessile.engine.caching import SessionCache
from sessile.engine.looks import Looks
from sessile.engine.sessions import StoredSessions
from sessile.model.errors import StoreUnavailable
from sessile.model.fence import CachePlace, CacheUnavailable, Fence, Miss, Publication
from sessile.stores.memory.store import MemoryStore, MemoryTransaction, Tables
from sessile.testing.fake_cache import FakeCache, FakeCacheServer

T = TypeVar("T")
PERIOD_S: Final = 4.0
FAULTS: Final = ("lost", "lost reply", "late")


@types.coroutine
def step() -> Generator[None, None, None]:
    """Anything else may happen here."""
    yield


@dataclass(frozen=True)
class Chances:
    """How likely each thing is at each step."""

    tick: float
    fault: float
    flush: float
    forget_key: float
    crash: float
    fork: float
    late: float
    any_order: float
    freeze: float

    @classmethod
    def drawn(cls, rng: random.Random) -> Chances:
        """Other ones for each seed, many of them none at all: what is rare beside everything else is common where little else happens."""

        def some(most: float) -> float:
            return rng.choice((0.0, 0.0, most / 4, most))

        return cls(
            tick=rng.choice((0.01, 0.03, 0.06, 0.12)),
            fault=some(0.15),
            flush=some(0.05),
            forget_key=some(0.3),
            crash=some(0.03),
            fork=some(0.15),
            late=rng.choice((0.05, 0.2)),
            freeze=some(0.08),
            any_order=rng.choice((1.0, 0.3, 0.1)),
        )


@dataclass
class World:
    """What all processes share."""

    seed: int

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)
        self.chances = Chances.drawn(self.rng)
        self.now = 0.0
        self.events = 0
        self.tables = Tables()
        self.tables.seconds = lambda: self.now
        self.tables.fence = {None: (Fence(1, "begin", "first", is_open=True), 0.0)}
        self.is_locked = False
        self.is_faulty = True
        self.servers = [FakeCacheServer("first"), FakeCacheServer("second")]
        self.late: list[Callable[[], Any]] = []
        self.running: list[Operation] = []
        self.log: list[str] = []

    def draw(self, chance: float) -> bool:
        return self.is_faulty and self.rng.random() < chance

    def say(self, what: str) -> None:
        self.events += 1
        self.log.append(f"{self.events:4} {self.now:5.1f} {what}")

    def start(self, operation: Operation) -> None:
        self.say(f"{operation.name} begins")
        self.running.append(operation)

    def turn(self) -> None:
        """One step of one operation, or something that happens by itself."""
        if self.rng.random() < self.chances.tick or not self.running:
            self.now += 1.0
            return
        if self.late and self.rng.random() < self.chances.late:
            self.late.pop(self.rng.randrange(len(self.late)))()
            self.say("a late call was carried out")
        self._misfortune()
        operation = self._next()
        if operation is None:
            self.now += 1.0
        elif self.draw(self.chances.freeze):
            operation.frozen_until = self.now + PERIOD_S * self.rng.choice((0.5, 1.3, 3.0))
            self.say(f"{operation.name} stands still until {operation.frozen_until}")
        elif self.draw(self.chances.crash):
            self.say(f"{operation.name} crashes")
            operation.coroutine.close()
            self.running.remove(operation)
        elif operation.go_on():
            self.running.remove(operation)

    def _next(self) -> Operation | None:
        """By priority, so that some operations stand still for long while others come to their end; and sometimes any, so that waiting ends."""
        awake = [operation for operation in self.running if operation.frozen_until <= self.now]
        if not awake:
            return None
        if self.rng.random() < self.chances.any_order:
            return self.rng.choice(awake)
        if self.rng.random() < 0.05:
            self.rng.choice(awake).priority = self.rng.random()
        return max(awake, key=lambda operation: operation.priority)

    def _misfortune(self) -> None:
        if self.draw(self.chances.flush):
            self.rng.choice(self.servers).flush()
            self.say("a cache was emptied")
        if self.draw(self.chances.forget_key):
            server = self.rng.choice(self.servers)
            # Marks and leases are what a writer counts on.
            kinds = self.rng.choice((b"M", b"ML", b"MLV"))
            keys = sorted(key for key, entry in server.entries.items() if entry[:1] in kinds)
            if keys:
                server.entries.pop(self.rng.choice(keys))
                self.say("a key was evicted")


@dataclass
class Operation:
    """A call of some process that is under way."""

    name: str
    coroutine: Coroutine[Any, Any, Any]
    done: Callable[[Any], None]
    priority: float
    frozen_until: float = 0.0

    def go_on(self) -> bool:
        """True when it is over."""
        try:
            self.coroutine.send(None)
        except StopIteration as over:
            self.done(over.value)
            return True
        except StoreUnavailable as error:
            self.done(error)
            return True
        return False


class SimStore(MemoryStore):
    """The rows that all share. A writer holds the lock across the marking, as a row's lock is held in a database."""

    def __init__(self, world: World) -> None:
        super().__init__(world.tables)
        self._world = world
        self.is_about_to_commit = False

    async def read(self, work: Callable[..., T], *args: Any) -> T:
        await step()
        result = work(MemoryTransaction(self._tables), *args)
        await step()
        return result

    async def write(self, work: Callable[..., T], *args: Any) -> T:
        await step()
        while self._world.is_locked:
            await step()
        self._world.is_locked = True
        try:
            tx = MemoryTransaction(self._tables)
            result = work(tx, *args)
            await step()
            guard = self._guard
            plan = None if guard is None else guard.plan(tx, tx.sessions.changes)
            if guard is not None and plan is not None:
                await guard.mark([plan])
                guard.within(tx, plan)
            self.is_about_to_commit = True
            await step()
            self.is_about_to_commit = False
            tx.commit()
        finally:
            self._world.is_locked = False
        await step()
        if guard is not None and plan is not None:
            await guard.settle(plan)
        return result


class SimCache(FakeCache):
    """One process's way to the cache: each call may be lost, carried out without an answer, or carried out much later."""

    def __init__(self, world: World) -> None:
        super().__init__(world.servers[0])
        self._world = world
        self.about_to = ""
        """The call that this process makes next."""
        self.faults: dict[str, str] = {}
        """What becomes of the next call of that name, for a test that says how it goes."""

    async def _call(self, name: str, place: CachePlace, act: Callable[[], Coroutine[Any, Any, T]]) -> T:
        self.about_to = name
        await step()
        self.about_to = ""
        world = self._world
        if world.draw(world.chances.fork):
            self.at = world.rng.choice(world.servers)
            world.say(f"somebody reaches the {self.at.identity} server")
        fault = world.rng.choice(FAULTS) if world.draw(world.chances.fault) else self.faults.pop(name, "")
        if place.server != self.at.identity or fault == "lost":
            raise CacheUnavailable
        if fault == "late":
            world.late.append(partial(self._carried_out_by, self.at, act))
            raise CacheUnavailable
        result = _finish(act())
        await step()
        if fault:
            raise CacheUnavailable
        return result

    def _carried_out_by(self, server: FakeCacheServer, act: Callable[[], Coroutine[Any, Any, Any]]) -> None:
        now_at, self.at = self.at, server
        try:
            _finish(act())
        finally:
            self.at = now_at

    async def server(self) -> str:
        await step()
        if self._world.draw(self._world.chances.fault):
            raise CacheUnavailable
        return self.at.identity

    async def get(self, place: CachePlace, session_id: str) -> bytes | Miss:
        return await self._call("get", place, lambda: FakeCache.get(self, place, session_id))

    async def lease(self, place: CachePlace, session_id: str, token: bytes) -> bool:
        return await self._call("lease", place, lambda: FakeCache.lease(self, place, session_id, token))

    async def fill(self, place: CachePlace, session_id: str, token: bytes, entry: bytes, ttl_s: float) -> None:
        try:
            await self._call("fill", place, lambda: FakeCache.fill(self, place, session_id, token, entry, ttl_s))
        except CacheUnavailable:
            return

    async def mark(self, place: CachePlace, tokens: Sequence[tuple[str, bytes]]) -> None:
        await self._call("mark", place, lambda: FakeCache.mark(self, place, tokens))

    async def publish(self, place: CachePlace, publications: Sequence[Publication]) -> None:
        await self._call("publish", place, lambda: FakeCache.publish(self, place, publications))


def _finish(coroutine: Coroutine[Any, Any, T]) -> T:
    """Runs what never waits. A server that is not the one of the place any more does nothing."""
    try:
        coroutine.send(None)
    except StopIteration as over:
        result: T = over.value
        return result
    raise AssertionError("it waits")


class Process:
    """Looks and a cache of its own, on the rows of all."""

    def __init__(self, world: World, name: str, kind: type[SessionCache] = SessionCache) -> None:
        self.name = name
        self.store = SimStore(world)
        self.cache = SimCache(world)
        self.looks = Looks(self.store, _Stopwatch(world), _Bytes(world), PERIOD_S)
        self.cached = kind(self.looks, self.cache, StoredSessions(self.store), _Pause(world), _Bytes(world))
        self.store.guard(self.cached)


class _Stopwatch:
    def __init__(self, world: World) -> None:
        self._world = world

    def seconds(self) -> float:
        return self._world.now


class _Pause:
    def __init__(self, world: World) -> None:
        self._world = world

    async def sleep(self, seconds: float) -> None:
        until = self._world.now + seconds
        while self._world.now < until:
            await step()


class _Bytes:
    def __init__(self, world: World) -> None:
        self._world = world

    def token_bytes(self, count: int) -> bytes:
        return self._world.rng.randbytes(count)
