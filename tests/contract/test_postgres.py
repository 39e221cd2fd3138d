"""The store contract on PostgreSQL, in both lanes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from sessile.ports import Store
from sessile.stores.sql.postgres import AsyncPostgresStore, BlockingPostgresStore
from sessile.testing.store_contract import StoreContract


class TestPostgres(StoreContract):
    is_polled = False

    @pytest.fixture(autouse=True)
    def _database(self, database: Callable[[Path], str]) -> None:
        self.database = database

    def make_store(self, lane: str, place: Path) -> Store:
        url = self.database(place)
        return BlockingPostgresStore(url) if lane == "blocking" else AsyncPostgresStore(url)
