"""The store contract with a cache in front of each store."""

from __future__ import annotations

from pathlib import Path

import pytest

from sessile.ports import Cache, Store
from sessile.stores.memory import MemoryStore
from sessile.stores.memory.store import Tables
from sessile.stores.sql import AsyncSqliteStore, BlockingSqliteStore
from sessile.testing.fake_cache import FakeCache, FakeCacheServer
from sessile.testing.store_contract import StoreContract


class _Cached(StoreContract):
    @pytest.fixture(autouse=True)
    def _server(self) -> None:
        self.cache_server = FakeCacheServer()

    def make_cache(self, lane: str, place: Path) -> Cache | None:
        return FakeCache(self.cache_server)


class TestCachedSqlite(_Cached):
    def make_store(self, lane: str, place: Path) -> Store:
        url = f"sqlite:///{place / 'sessile.db'}"
        return BlockingSqliteStore(url) if lane == "blocking" else AsyncSqliteStore(url)


class TestCachedMemory(_Cached):
    def make_store(self, lane: str, place: Path) -> Store:
        self.tables: Tables = getattr(self, "tables", None) or Tables()
        return MemoryStore(self.tables)
