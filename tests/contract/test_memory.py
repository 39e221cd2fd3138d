"""The store contract on the memory store."""

from __future__ import annotations

from pathlib import Path

from sessile.ports import Store
from sessile.stores.memory import MemoryStore
from sessile.stores.memory.store import Tables
from sessile.testing.store_contract import StoreContract


class TestMemory(StoreContract):
    def make_store(self, lane: str, place: Path) -> Store:
        self.tables: Tables = getattr(self, "tables", None) or Tables()
        return MemoryStore(self.tables)
