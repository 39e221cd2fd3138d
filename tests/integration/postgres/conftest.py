"""A PostgreSQL server for a module, and a migrated database for each test."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from sessile.runtime.lane import drive
from sessile.stores.sql.postgres import AsyncPostgresStore, BlockingPostgresStore, upgrade
from sessile.testing.fakes import FakeClock, SeededRandom
from sessile.testing.lab import Bench
from sessile.testing.servers import PostgresServer
from tests.conftest import postgres_or_skip

_NUMBERS = itertools.count(1)


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    made = postgres_or_skip()
    try:
        made.start()
        yield made
    finally:
        made.close()


@pytest.fixture
def empty(server: PostgresServer) -> str:
    """The URL of a new database without our schema."""
    return server.create_database(f"empty_{next(_NUMBERS)}")


@pytest.fixture
def url(server: PostgresServer, empty: str) -> str:
    upgrade(empty)
    return empty


@pytest.fixture
def bench(url: str) -> Iterator[Bench]:
    store = BlockingPostgresStore(url)
    drive(store.open())
    yield Bench(store, FakeClock(), SeededRandom())
    drive(store.close())


MakeAsync = Callable[[str], Any]


async def opened(url: str, **arguments: Any) -> Bench:
    """A store of the asyncio lane with the engines on it; the caller closes `bench.store`."""
    store = AsyncPostgresStore(url, **arguments)
    await store.open()
    return Bench(store, FakeClock(), SeededRandom())
