"""How a store is doing, and the parts of a process that are watched."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class PoolStatus:
    """Connections to the database: how many are kept, how many are in use just now, how many there may be at most, and how many callers wait for one."""

    size: int
    in_use: int
    size_max: int
    waiting: int = 0

    @property
    def is_exhausted(self) -> bool:
        """Whether the next caller has to wait."""
        return self.in_use >= self.size_max


@dataclass(frozen=True, slots=True)
class CacheLink:
    """How the way to the cache is: `up`, `down`, `connecting` or `new`. Counted since the start: connections lost or refused, calls that were not
    answered in time, and calls that failed at once because it was down."""

    state: str = "new"
    failures: int = 0
    timeouts: int = 0
    refusals: int = 0


@dataclass(frozen=True, slots=True)
class CacheStatus:
    """How the cache is doing. `is_used`: sessions are read from it just now; otherwise the database answers, and nobody notices but by the time it takes.
    Counted since the start: `hits`, and `misses` that the database answered."""

    is_used: bool
    hits: int
    misses: int
    link: CacheLink


@dataclass(frozen=True, slots=True)
class Health:
    """The answer to a look at the store: how long it took, in milliseconds, its connections (None: a store without any), and the cache (None: without
    one). A cache that is away is no outage."""

    latency_ms: float
    pool: PoolStatus | None
    cache: CacheStatus | None = None


@dataclass(frozen=True, slots=True)
class MemoryUse:
    """`resident_bytes` is of this process. `used_bytes` of `limit_bytes` is what will run out first: of a control group it is all that its processes hold and the kernel
    cannot simply drop, of the machine it is this process alone. 0 where the system does not say."""

    resident_bytes: int = 0
    used_bytes: int = 0
    limit_bytes: int = 0

    @property
    def used(self) -> float | None:
        """The share of the limit; None where it is not known."""
        return self.used_bytes / self.limit_bytes if self.limit_bytes else None


class ComponentState(StrEnum):
    HEALTHY = "healthy"
    DEGRADED = "degraded"
    """It works, and somebody should look."""
    UNHEALTHY = "unhealthy"


@dataclass(frozen=True, slots=True)
class Component:
    """A part of the process as it was found last, and since when it is so. `reason` may be shown to anybody."""

    name: str
    state: ComponentState
    reason: str
    since: datetime


@dataclass(frozen=True, slots=True)
class Flip:
    """A component's state changed. `before` is None for one that was never healthy."""

    component: str
    before: ComponentState | None
    after: ComponentState
    reason: str
    at: datetime
