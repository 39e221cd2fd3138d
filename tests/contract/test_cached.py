"""The store contract with a cache in front of each store: a real Redis, and one in memory. What has to do with sessions runs here each time; the
whole contract with Redis runs in the soak."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from sessile.ports import Cache, Store
from sessile.stores.memory import MemoryStore
from sessile.stores.memory.store import Tables
from sessile.stores.redis import AsyncRedisCache, BlockingRedisCache
from sessile.stores.redis.link import Limits
from sessile.stores.sql import AsyncSqliteStore, BlockingSqliteStore
from sessile.stores.sql.postgres import AsyncPostgresStore, BlockingPostgresStore
from sessile.testing.fake_cache import FakeCache, FakeCacheServer
from sessile.testing.servers import RedisServer
from sessile.testing.store_contract import (
    Contract,
    CredentialContract,
    PrincipalContract,
    RaceContract,
    SessionContract,
    SharingContract,
    StoreContract,
    TokenContract,
    TransactionContract,
)

PATIENT = Limits(call_timeout_s=5.0, connect_timeout_s=5.0)
"""A busy machine is not taken for an outage: what happens then has tests of its own."""
_SOAK = bool(os.environ.get("SESSILE_SOAK"))


class SessionGroups(
    TransactionContract,
    SessionContract,
    TokenContract,
    PrincipalContract,
    RaceContract,
    SharingContract,
    CredentialContract,
):
    """What reads and ends sessions."""


class Fewer(SessionContract, TokenContract):
    """Where the rows are others, but nothing else is."""


Groups: type[Contract] = StoreContract if _SOAK else SessionGroups
FewGroups: type[Contract] = StoreContract if _SOAK else Fewer


class WithRedis(Contract):
    @pytest.fixture(autouse=True)
    def _redis(self, redis: RedisServer) -> None:
        self.redis_url = redis.url()

    def make_cache(self, lane: str, place: Path) -> Cache | None:
        make = BlockingRedisCache if lane == "blocking" else AsyncRedisCache
        return make(self.redis_url, limits=PATIENT)


class TestSqliteWithRedis(WithRedis, FewGroups):  # type: ignore[misc, valid-type]
    def make_store(self, lane: str, place: Path) -> Store:
        url = f"sqlite:///{place}/sessile.db"
        return BlockingSqliteStore(url) if lane == "blocking" else AsyncSqliteStore(url)


class TestMemoryWithRedis(WithRedis, FewGroups):  # type: ignore[misc, valid-type]
    def make_store(self, lane: str, place: Path) -> Store:
        self.tables: Tables = getattr(self, "tables", None) or Tables()
        return MemoryStore(self.tables)


class TestPostgresWithRedis(WithRedis, Groups):  # type: ignore[misc, valid-type]
    is_polled = False

    @pytest.fixture(autouse=True)
    def _database(self, database: Callable[[Path], str]) -> None:
        self.database = database

    def make_store(self, lane: str, place: Path) -> Store:
        url = self.database(place)
        return BlockingPostgresStore(url) if lane == "blocking" else AsyncPostgresStore(url)


class TestFakeCache(Fewer):
    """The stand-in that users' tests and ours put in the place of Redis."""

    @pytest.fixture(autouse=True)
    def _server(self) -> None:
        self.cache_server = FakeCacheServer()

    def make_cache(self, lane: str, place: Path) -> Cache | None:
        return FakeCache(self.cache_server)

    def make_store(self, lane: str, place: Path) -> Store:
        self.tables: Tables = getattr(self, "tables", None) or Tables()
        return MemoryStore(self.tables)
