"""From what was measured to how each component is. Thresholds stand here and nowhere else; docs/reference/telemetry.md is made from them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from sessile.model.health import ComponentState, Health, MemoryUse, PoolStatus

_HEALTHY, _DEGRADED, _UNHEALTHY = ComponentState.HEALTHY, ComponentState.DEGRADED, ComponentState.UNHEALTHY
Judgement = tuple[str, ComponentState, str]
"""Component, state, reason."""


@dataclass(frozen=True, slots=True)
class Threshold:
    """From where on a component is degraded, and from where on unhealthy."""

    degraded: float
    unhealthy: float
    unit: str
    meaning: str

    def state(self, value: float) -> ComponentState:
        return _UNHEALTHY if value >= self.unhealthy else _DEGRADED if value >= self.degraded else _HEALTHY


THRESHOLDS: Final[Mapping[str, Threshold]] = {
    "database": Threshold(1, 5, "s", "how long a look at the database takes; none at all is unhealthy"),
    "pool": Threshold(0.80, 0.95, "", "share of its connections at work"),
    "background": Threshold(1, 3, "", "rounds of one task that failed in a row"),
    "sweep": Threshold(2, 4, "", "intervals since a sweep last succeeded"),
    "audit_sinks": Threshold(1, 5, "", "deliveries to one sink that failed in a row"),
    "errors": Threshold(0.05, 0.15, "", "share of session reads that failed since the last look"),
    "responsiveness": Threshold(0.5, 2, "s", "how late the event loop came to its round"),
    "memory": Threshold(
        0.80, 0.95, "", "share of the memory there is for it: of its control group's limit, else of the machine"
    ),
}
"""The cache has none: it is degraded while sessions are read and not from it, or there is no way to it; nobody but the clock notices."""
_NO_WAY: Final = frozenset({"down", "connecting"})
READS_MIN: Final = 20
"""Fewer reads than this since the last look have no share."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What one look found. `health` is None when the database did not answer; `errors` when too little was read. `pool` is known in either case."""

    health: Health | None
    pool: PoolStatus | None
    background_failures: int
    sweep_age_s: float
    sweep_interval_s: float
    sink_failures: int | None
    errors: float | None
    lag_s: float
    memory: MemoryUse
    token_reuses: int = 0
    reads: int = 0
    """Session reads since the last look. Where nobody reads, a cache is not used either, and nothing is wrong with it."""

    @property
    def cache_is_away(self) -> bool | None:
        """Whether the database answers for the cache; None without one, and while the database is away itself."""
        cache = None if self.health is None else self.health.cache
        if cache is None:
            return None
        return not cache.is_used and (self.reads > 0 or cache.link.state in _NO_WAY)


def judgements(reading: Reading) -> Iterator[Judgement]:
    """One for each component that there is."""
    yield from _of_store(reading.health, reading.pool)
    yield from _of_cache(reading)
    yield _judged("background", reading.background_failures, f"{reading.background_failures} rounds failed in a row")
    late = reading.sweep_age_s / reading.sweep_interval_s
    yield _judged("sweep", late, f"last success {reading.sweep_age_s:.0f} s ago")
    if reading.sink_failures is not None:
        yield _judged("audit_sinks", reading.sink_failures, f"{reading.sink_failures} deliveries failed in a row")
    if reading.errors is not None:
        yield _judged("errors", reading.errors, f"{reading.errors:.1%} of session reads failed")
    yield _judged("responsiveness", reading.lag_s, f"{reading.lag_s:.2f} s late")
    used = reading.memory.used
    if used is not None:
        megabytes = f"{reading.memory.used_bytes / 1e6:.0f} of {reading.memory.limit_bytes / 1e6:.0f} MB"
        yield _judged("memory", used, f"{megabytes} ({used:.0%})")


def _of_store(health: Health | None, pool: PoolStatus | None) -> Iterator[Judgement]:
    if health is not None:
        yield _judged("database", health.latency_ms / 1000, f"answered in {health.latency_ms:.0f} ms")
    elif pool is not None and pool.size_max and pool.is_exhausted:
        yield "database", _UNHEALTHY, "no connection to it was free"
    else:
        yield "database", _UNHEALTHY, "it cannot be reached"
    if pool is not None and pool.size_max:
        told = f"{pool.in_use} of {pool.size_max} connections at work, {pool.waiting} callers wait"
        yield _judged("pool", pool.in_use / pool.size_max, told)


def _of_cache(reading: Reading) -> Iterator[Judgement]:
    if reading.cache_is_away is None:
        return
    assert reading.health is not None
    assert reading.health.cache is not None
    cache = reading.health.cache
    if cache.is_used:
        reason = "sessions are read from it"
    else:
        why = "" if reading.cache_is_away else "nobody reads; "
        reason = f"not used: {why}the way to it is {cache.link.state}"
    yield "cache", _DEGRADED if reading.cache_is_away else _HEALTHY, reason


def _judged(component: str, value: float, reason: str) -> Judgement:
    return component, THRESHOLDS[component].state(value), reason
