"""How a store is doing."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PoolStatus:
    """Connections to the database: how many are kept, how many are in use just now, and how many there may be at most."""

    size: int
    in_use: int
    size_max: int


@dataclass(frozen=True, slots=True)
class Health:
    """The answer to a look at the store: how long it took, in milliseconds, and its connections (None: a store without any)."""

    latency_ms: float
    pool: PoolStatus | None
