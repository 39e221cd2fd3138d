"""When the cache is looked after: also while writes look at the fence all the time."""

from __future__ import annotations

from sessile.engine.caching import SessionCache
from sessile.engine.looks import Looks
from sessile.engine.sessions import StoredSessions
from sessile.runtime.caching import ThreadPause
from sessile.runtime.lane import drive
from sessile.stores.memory import MemoryStore
from sessile.testing.fake_cache import FakeCache, FakeCacheServer
from sessile.testing.fakes import FakeClock, SeededRandom
from sessile.testing.lab import Bench

PERIOD_S = 1.0


class Stopwatch:
    def __init__(self) -> None:
        self.at = 0.0

    def seconds(self) -> float:
        return self.at


def test_a_closed_fence_is_opened_while_writes_go_on() -> None:
    store, stopwatch, random = MemoryStore(), Stopwatch(), SeededRandom()
    looks = Looks(store, stopwatch, random, PERIOD_S)
    cached = SessionCache(looks, FakeCache(FakeCacheServer()), StoredSessions(store), ThreadPause(), random)
    store.guard(cached)
    bench = Bench(store, FakeClock(), random, cached=cached)
    drive(store.open())
    session_id = drive(bench.sessions.create("ada")).session.session_id
    for _ in range(30):
        stopwatch.at += PERIOD_S / 10
        drive(bench.sessions.change_data(session_id, [("set", ("n",), 1)], "ada"))
        drive(bench.sessions.get(session_id))
        if cached.is_due:
            drive(cached.keep())
    assert cached.is_open


def test_an_open_fence_is_looked_at_when_a_third_of_its_life_is_over() -> None:
    store, stopwatch, random = MemoryStore(), Stopwatch(), SeededRandom()
    looks = Looks(store, stopwatch, random, PERIOD_S)
    cached = SessionCache(looks, FakeCache(FakeCacheServer()), StoredSessions(store), ThreadPause(), random)
    drive(store.open())
    while not cached.is_open:
        stopwatch.at += PERIOD_S
        drive(cached.keep())
    drive(cached.get("nobody"))
    assert not cached.is_due
    stopwatch.at += PERIOD_S / 2
    assert cached.is_due
