"""Everything in one process's memory: the reference implementation, and a store for users' tests."""

from sessile.stores.memory.store import MemoryStore

__all__ = ["MemoryStore"]
