"""Servers for a file of cells, a database in them, and the round that a cell plays."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from typing import Any, Final

import pytest

from sessile.runtime.settings import Settings
from sessile.stores.sql.postgres import upgrade
from sessile.testing.servers import PostgresServer, RedisSentinelSet, RedisServer
from tests.conftest import postgres_or_skip
from tests.faults.history import NOTHING, Allowed, History, faults, line
from tests.faults.kept import read
from tests.faults.load import Round
from tests.faults.nodes import LANES, Node, proxied

IS_SOAK: Final = os.environ.get("SESSILE_SOAK") == "1"
PERIOD_S: Final = 0.2
HOLD_S: Final = 5.0 if IS_SOAK else 0.6
"""How long a fault lasts, unless a cell says otherwise."""
BOTH_LANES: Final = ("asyncio", "blocking")
_ROUNDS: Final = [
    (lanes, seed)
    for lanes in (BOTH_LANES, *([("asyncio", "asyncio"), ("blocking", "blocking")] if IS_SOAK else []))
    for seed in range(2 if IS_SOAK else 1)
]
rounds: Final = pytest.mark.parametrize(
    ("lanes", "seed"), _ROUNDS, ids=[f"{'+'.join(lanes)}-{seed}" for lanes, seed in _ROUNDS]
)
"""The nodes of a cell by their lanes, and what its randomness begins with. In the soak also nodes of one lane only, and more seeds."""


def listed(usual: Iterable[str], rare: Iterable[str] = ()) -> list[Any]:
    """Names of cells, for a parametrization; the rare ones are played in the soak only."""
    return [*usual, *(pytest.param(name, marks=pytest.mark.soak) for name in rare)]


class Wrong(AssertionError):
    """All that was not as it must be, a line each."""


@dataclass
class World:
    """The servers of a cell and what is connected to them. `database_url` is straight to the database, past all proxies."""

    redis: RedisServer
    postgres: PostgresServer
    database_url: str
    stack: ExitStack
    name: str
    log: pytest.LogCaptureFixture
    sentinels: RedisSentinelSet | None = None
    """Where nodes ask for their Redis, instead of having a way of their own to `redis`."""
    round: Round = None  # type: ignore[assignment]  # `staff` makes it

    def node(self, lane: str, name: str, **settings: Any) -> Node:
        """Another node, with its own ways to both servers."""
        settings = {"fence_period_s": PERIOD_S, **settings}
        redis = (self.redis.port, lambda port: self.redis.url(port=port))
        if self.database_url.startswith("sqlite"):
            return proxied(self.stack, lane, name, redis, None, database_url=self.database_url, **settings)
        database = self.database_url.rpartition("/")[2]
        sql = (self.postgres.port, lambda port: self.postgres.url(database, port=port))
        return proxied(self.stack, lane, name, redis, sql, **settings)

    def staff(self, lanes: Sequence[str], seed: int = 0, **settings: Any) -> Round:
        """Nodes of these lanes, under load and serving from the cache."""
        make = self.node if self.sentinels is None else self._node_of_sentinels
        nodes = [make(lane, f"{chr(ord('A') + n)}-{lane}", **settings) for n, lane in enumerate(lanes)]
        self.round = Round(nodes, seed)
        self.stack.callback(self.round.stop)  # also when the test fails: before its nodes are closed
        self.round.start()
        return self.round

    def _node_of_sentinels(self, lane: str, name: str, **settings: Any) -> Node:
        assert self.sentinels is not None
        settings = {"fence_period_s": PERIOD_S, "redis_url": self.sentinels.url(), **settings}
        node = LANES[lane](name, Settings(database_url=self.database_url, **settings))
        self.stack.callback(node.close)
        return node

    @property
    def nodes(self) -> Sequence[Node]:
        return self.round.nodes

    def judge(self, allowed: Allowed = NOTHING) -> History:
        """Ends the load, prints the figures, and raises Wrong; also for what went wrong where no caller could see it."""
        self.round.stop()
        history = self.round.history
        kept = read(Settings(database_url=self.database_url), self.round.stations)
        print("\n" + line(self.name, history), end="", flush=True)
        found = faults(history, kept, allowed)
        found += [
            f"logged as an error: {record.getMessage()}"
            for record in self.log.records
            if record.levelno >= logging.ERROR
        ]
        if found:
            raise Wrong("\n".join(["", *found]))
        return history

    def play(
        self,
        lanes: Sequence[str],
        fault: Callable[[World], AbstractContextManager[object]],
        allowed: Allowed = NOTHING,
        *,
        hold_s: float = HOLD_S,
        seed: int = 0,
        **settings: Any,
    ) -> History:
        """A whole round of one cell."""
        self.staff(lanes, seed, **settings)
        try:
            self.round.play(fault(self), hold_s)
        finally:
            self.round.stop()
        return self.judge(allowed)


@pytest.fixture(scope="module")
def redis(require: Callable[[str], str]) -> Iterator[RedisServer]:
    require("redis-server")
    with RedisServer("always") as server:
        yield server


@pytest.fixture(scope="module")
def sentinels(require: Callable[[str], str]) -> Iterator[RedisSentinelSet]:
    require("redis-sentinel")
    with RedisSentinelSet() as servers:
        yield servers


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    server = postgres_or_skip()
    try:
        server.start()
        # Waiting a second for a deadlock, and synchronizing a thousand files one by one after a kill, would be most of the time that a cell takes.
        for setting in ("deadlock_timeout = '20ms'", "recovery_init_sync_method = 'syncfs'"):
            server.run_sql(f"ALTER SYSTEM SET {setting}")
        server.run_sql("SELECT pg_reload_conf()")
        yield server
    finally:
        if server.is_running:
            server.kill()  # an orderly end takes seconds, and its data goes anyway
        server.close()


@pytest.fixture(scope="module")
def database_url(postgres: PostgresServer) -> str:
    url = postgres.create_database("faults")
    upgrade(url)
    return url


@pytest.fixture
def world(
    request: pytest.FixtureRequest,
    redis: RedisServer,
    postgres: PostgresServer,
    database_url: str,
    caplog: pytest.LogCaptureFixture,
) -> Iterator[World]:
    with ExitStack() as stack:
        yield World(redis, postgres, database_url, stack, request.node.name.removeprefix("test_"), caplog)
