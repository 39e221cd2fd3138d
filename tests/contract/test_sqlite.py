"""The store contract on SQLite, in both lanes."""

from __future__ import annotations

from pathlib import Path

from sessile.ports import Store
from sessile.stores.sql import AsyncSqliteStore, BlockingSqliteStore
from sessile.testing.store_contract import StoreContract


class TestSqlite(StoreContract):
    def make_store(self, lane: str, place: Path) -> Store:
        url = f"sqlite:///{place}/sessile.db"
        return BlockingSqliteStore(url) if lane == "blocking" else AsyncSqliteStore(url)
