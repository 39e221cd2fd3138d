"""A store whose transactions are measured, on either lane: it waits for nothing but the one inside."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

from sessile.model.errors import SessileError, StoreUnavailable
from sessile.model.events import Event, EventKind
from sessile.model.health import PoolStatus
from sessile.ports import CommitGuard, Listener, Store, Transaction
from sessile.ports.watching import WATCH
from sessile.telemetry.hub import Counters, Outcomes
from sessile.telemetry.metrics import Metrics
from sessile.telemetry.profiling import Measured, watchers

T = TypeVar("T")


def write_outcome(error: Exception) -> str:
    """What an error means for a figure: an outage, an answer by a rule, or a fault."""
    if isinstance(error, StoreUnavailable):
        return "unavailable"
    return "refused" if isinstance(error, SessileError) else "failed"


class MeasuredStore:
    """Counts what this process's own commits tell of, each once, and how long transactions take."""

    def __init__(self, inner: Store, metrics: Metrics) -> None:
        self.inner = inner
        self._reads = Outcomes.of(metrics, "sessile_store_transaction_seconds", kind="read").by_outcome
        self._writes = Outcomes.of(metrics, "sessile_store_transaction_seconds", kind="write").by_outcome
        self._ended = Counters.of(metrics, "sessile_sessions_ended_total").by_value
        self._anomalies = Counters.of(metrics, "sessile_anomalies_total").by_value

    @property
    def writes_at_once(self) -> bool:
        return self.inner.writes_at_once

    @writes_at_once.setter
    def writes_at_once(self, value: bool) -> None:
        self.inner.writes_at_once = value

    async def write(self, work: Callable[..., T], *args: Any) -> T:
        began = time.perf_counter()
        watching = watchers()
        events: Sequence[Event] = ()

        def told(tx: Transaction, *given: Any) -> T:
            nonlocal events
            result = _watched(tx, watching, work, given, is_write=True) if watching else work(tx, *given)
            events = getattr(tx, "events", ())  # a store of somebody else's need not keep them
            return result

        # The inner store, and whoever stands in front of it, sees whose work it is.
        told.__name__ = getattr(work, "__name__", told.__name__)
        told.__module__ = getattr(work, "__module__", told.__module__)
        try:
            result = await self.inner.write(told, *args)
        except Exception as error:
            self._writes[write_outcome(error)].observe(time.perf_counter() - began)
            raise
        self._writes["done"].observe(time.perf_counter() - began)
        if events:
            self._count(events)
        return result

    async def read(self, work: Callable[..., T], *args: Any) -> T:
        began = time.perf_counter()
        watching = watchers()
        asked: Callable[..., T] = partial(_watched_read, watching, work) if watching else work
        try:
            result = await self.inner.read(asked, *args)
        except Exception as error:
            self._reads[write_outcome(error)].observe(time.perf_counter() - began)
            raise
        self._reads["done"].observe(time.perf_counter() - began)
        return result

    def _count(self, events: Sequence[Event]) -> None:
        for event in events:
            by_detail = (
                self._ended
                if event.kind is EventKind.SESSION_ENDED
                else self._anomalies
                if event.kind is EventKind.ANOMALY
                else {}
            )
            if event.detail in by_detail:
                by_detail[event.detail].add()

    async def open(self) -> None:
        await self.inner.open()

    async def close(self) -> None:
        await self.inner.close()

    async def transact(self, work: Callable[[Any], T]) -> T:
        return await self.inner.transact(work)

    def pool(self) -> PoolStatus | None:
        return self.inner.pool()

    async def poll(self) -> None:
        await self.inner.poll()

    async def tidy(self) -> None:
        await self.inner.tidy()

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        return self.inner.subscribe(listener)

    def guard(self, guard: CommitGuard) -> None:
        self.inner.guard(guard)


def _watched_read(watching: Sequence[Measured], work: Callable[..., T], tx: Transaction, *args: Any) -> T:
    return _watched(tx, watching, work, args, is_write=False)


def _watched(
    tx: Transaction,
    watching: Sequence[Measured],
    work: Callable[..., T],
    args: Sequence[Any],
    *,
    is_write: bool,
) -> T:
    for one in watching:
        one.transaction(is_write=is_write)

    def watch(text: str, seconds: float) -> None:
        for one in watching:
            one.statement(text, seconds)

    before = WATCH.set(watch)
    try:
        return work(tx, *args)
    finally:
        WATCH.reset(before)
