"""The store contract with encryption on: the groups that read and write content; in the soak all of it, on the memory store and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from sessile.ports import Cache, Store
from sessile.stores.encrypted import ContentCipher, EncryptedStore
from sessile.stores.memory import MemoryStore
from sessile.stores.memory.store import Tables
from sessile.stores.sql import AsyncSqliteStore, BlockingSqliteStore
from sessile.stores.sql.postgres import AsyncPostgresStore, BlockingPostgresStore
from sessile.testing.fake_cache import FakeCache, FakeCacheServer
from sessile.testing.store_contract import (
    BatchContract,
    CheckpointContract,
    ErasureContract,
    LastingContract,
    MergeContract,
    SessionContract,
    StoreContract,
)

CIPHER = ContentCipher({"test": bytes(range(32))}, strict=True)


class FewGroups(SessionContract, BatchContract, MergeContract, CheckpointContract, LastingContract):
    """Those that have each statement with content in it."""


@pytest.mark.soak
class TestEncryptedMemoryWhole(StoreContract):
    finds_labels = False

    def make_store(self, lane: str, place: Path) -> Store:
        self.tables: Tables = getattr(self, "tables", None) or Tables()
        return EncryptedStore(MemoryStore(self.tables), CIPHER)


class TestEncryptedBehindCache(SessionContract):
    @pytest.fixture(autouse=True)
    def _server(self) -> None:
        self.cache_server = FakeCacheServer()

    def make_cache(self, lane: str, place: Path) -> Cache | None:
        return FakeCache(self.cache_server)

    def make_store(self, lane: str, place: Path) -> Store:
        self.tables: Tables = getattr(self, "tables", None) or Tables()
        return EncryptedStore(MemoryStore(self.tables), CIPHER)


@pytest.mark.soak
class TestEncryptedPostgresWhole(StoreContract):
    """Every group in both lanes; the ordinary run has those with content, below."""

    is_polled = False

    @pytest.fixture(autouse=True)
    def _database(self, database: Callable[[Path], str]) -> None:
        self.database = database

    def make_store(self, lane: str, place: Path) -> Store:
        url = self.database(place)
        return EncryptedStore(BlockingPostgresStore(url) if lane == "blocking" else AsyncPostgresStore(url), CIPHER)


class TestEncryptedSqlite(FewGroups):
    def make_store(self, lane: str, place: Path) -> Store:
        url = f"sqlite:///{place}/sessile.db"
        return EncryptedStore(BlockingSqliteStore(url) if lane == "blocking" else AsyncSqliteStore(url), CIPHER)


class TestEncryptedPostgres(FewGroups, ErasureContract):
    is_polled = False
    lanes = ("asyncio",)

    @pytest.fixture(autouse=True)
    def _database(self, database: Callable[[Path], str]) -> None:
        self.database = database

    def make_store(self, lane: str, place: Path) -> Store:
        url = self.database(place)
        return EncryptedStore(BlockingPostgresStore(url) if lane == "blocking" else AsyncPostgresStore(url), CIPHER)
