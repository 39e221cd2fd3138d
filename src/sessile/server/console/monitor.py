"""Measures this process every few seconds, counts what the commits tell, and remembers both: for the overview, health and charts.

While nobody looks it asks the database for counts every 15 s, otherwise every 5 s; what all open consoles show comes from one question.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final

from sessile.model.errors import SessileError, StoreUnavailable
from sessile.model.events import Event, EventKind
from sessile.model.health import Health
from sessile.model.session_query import LIVE
from sessile.model.wire import iso, maintenance_to_wire
from sessile.runtime.manager import AsyncSessionManager
from sessile.server.console.health import Components
from sessile.server.console.history import WINDOWS, History
from sessile.server.realtime.hub import Hub
from sessile.server.realtime.round_trips import at_share

logger = logging.getLogger("sessile.console")

SAMPLE_S: Final = 5.0
COUNTS_UNWATCHED_S: Final = 15.0
COUNTS_WATCHED_S: Final = 2.0
_WATCHED_FOR_S: Final = 60.0
_LAG_LOOK_S: Final = 0.5
_LAGS_KEPT: Final = 120
_CHANGED_MAX: Final = 5000
_OF_SESSIONS: Final = frozenset({EventKind.SESSION_CHANGED, EventKind.SESSION_ENDED, EventKind.PRESENCE_CHANGED})
_OF_DOCUMENTS: Final = frozenset({EventKind.DOCUMENT_CHANGED, EventKind.DOCUMENT_RESTORED})


class Changed:
    """Ids of sessions that something was told of, for one feed; `is_all` when there were too many, or some may have been missed."""

    def __init__(self) -> None:
        self.ids: set[str] = set()
        self.is_all = False

    def add(self, key: str) -> None:
        if len(self.ids) < _CHANGED_MAX:
            self.ids.add(key)
        else:
            self.is_all = True

    def take(self) -> tuple[set[str], bool]:
        """What there is, and nothing is left."""
        taken, self.ids = (self.ids, self.is_all), set()
        self.is_all = False
        return taken


class Monitor:
    def __init__(self, manager: AsyncSessionManager, hub: Hub) -> None:
        self._manager = manager
        self._hub = hub
        self.history = History()
        self.components = Components(manager.settings)
        self.restores = 0
        self.point: dict[str, Any] = {}
        """The latest sample, with `at_s`."""
        self._listeners: set[Changed] = set()
        self._changes = 0
        self._before: tuple[float, int, int, int, int] | None = None
        self._lags: deque[float] = deque(maxlen=_LAGS_KEPT)
        self._counts: dict[str, Any] = {}
        self.counted_at = float("-inf")
        self._looked_at = float("-inf")
        self._counting = asyncio.Lock()
        self._tasks: list[asyncio.Task[None]] = []
        self._unsubscribe: Callable[[], None] | None = None

    def start(self) -> None:
        """On the running loop. Again is no harm, and after another loop has ended it begins on this one."""
        if self._tasks and not self._tasks[0].done():
            return
        if self._unsubscribe is None:
            self._unsubscribe = self._manager.subscribe(self._on_events)
        loop = asyncio.get_running_loop()
        self._counting = asyncio.Lock()
        self._tasks = [
            loop.create_task(self._measure_lag(), name="sessile-console-lag"),
            loop.create_task(self._sample_often(), name="sessile-console-sample"),
        ]

    async def stop(self) -> None:
        running = [task for task in self._tasks if not task.done()]
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        self._tasks = []
        if self._unsubscribe is not None:
            self._unsubscribe()
            self._unsubscribe = None

    def listen(self) -> Changed:
        """What changes from now on, until `forget`."""
        changed = Changed()
        self._listeners.add(changed)
        return changed

    def forget(self, changed: Changed) -> None:
        self._listeners.discard(changed)

    def looked_at(self) -> None:
        """Somebody looks."""
        self._looked_at = asyncio.get_running_loop().time()

    async def counts(self, *, max_age_s: float = COUNTS_WATCHED_S) -> dict[str, Any]:
        """Sessions by state, users, nodes, maintenance: asked for at most every two seconds, however many look. Raises StoreUnavailable."""
        async with self._counting:
            loop = asyncio.get_running_loop()
            if not self._counts or loop.time() - self.counted_at >= max_age_s:
                self._counts = await self._count()
                self.counted_at = loop.time()
            return self._counts

    async def _count(self) -> dict[str, Any]:
        states = await self._manager.oversight.states()
        census = await self._manager.operators.census(busiest=1)
        nodes = await self._manager.oversight.nodes()
        own = self._hub.leases.node_id
        return {
            "counts": {
                "live": sum(states.values()),
                **{str(state): states.get(state, 0) for state in sorted(LIVE)},
                "users": census.users,
                "anonymous": census.anonymous,
                "overdue": census.overdue,
            },
            "nodes": [
                {"node_id": node, "is_self": node == own, "sessions": sessions, "devices": devices, "tabs": tabs}
                for node, sessions, devices, tabs in nodes
            ],
            "maintenance": maintenance_to_wire(await self._manager.maintenance.get()),
        }

    async def overview(self) -> dict[str, Any]:
        """What the first page shows, without its charts. Raises StoreUnavailable."""
        counted = await self.counts()
        p50, p95, samples = self._hub.round_trips.percentiles()
        rates = {name: self.point.get(name, 0.0) for name in ("connects_s", "disconnects_s", "changes_s")}
        return {
            "at": iso(self._manager.clock.now()),
            **counted,
            "rates": rates,
            "heartbeat": {"p50_ms": p50, "p95_ms": p95, "samples": samples},
            "restores": {"done": self.restores},
        }

    def lag(self) -> tuple[float, float]:
        """How late the event loop was over the last minute: the 95th percentile and the most, in milliseconds."""
        lags = sorted(self._lags)
        return (at_share(lags, 0.95), round(lags[-1], 2)) if lags else (0.0, 0.0)

    # -- loops ------------------------------------------------------------------------------------------------------------------------

    async def _measure_lag(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + _LAG_LOOK_S
            await asyncio.sleep(_LAG_LOOK_S)
            self._lags.append(max(0.0, (loop.time() - due) * 1000))

    async def _sample_often(self) -> None:
        while True:
            try:
                await self.sample()
            except Exception:  # the loop must outlive one bad round; the traceback is in the log
                logger.exception("A sample for the console failed", extra={"event_name": "console_sample_failed"})
            # In the middle of each step of the history: whatever a round takes, none is left out, which would look like a loss.
            await asyncio.sleep(SAMPLE_S * 1.5 - self._manager.clock.now().timestamp() % SAMPLE_S)

    async def sample(self) -> None:
        """One point of the history, and how the components are."""
        loop = asyncio.get_running_loop()
        is_watched = loop.time() - self._looked_at < _WATCHED_FOR_S or bool(self._listeners)
        health: Health | None = None
        counted: dict[str, Any] = {}
        try:
            health = await self._manager.health()
            counted = (await self.counts(max_age_s=SAMPLE_S if is_watched else COUNTS_UNWATCHED_S))["counts"]
        except (StoreUnavailable, SessileError):
            pass  # that is what the sample says: a gap, and a component that is down
        lag_p95, lag_max = self.lag()
        p50, p95, _ = self._hub.round_trips.percentiles()
        point: dict[str, Any] = {
            **{name: counted.get(name) for name in ("live", "online", "degraded", "offline")},
            **self._rates(loop.time(), health),
            "heartbeat_p50_ms": p50,
            "heartbeat_p95_ms": p95,
            "loop_lag_ms": lag_p95,
            "store_latency_ms": None if health is None else round(health.latency_ms, 3),
            "pool_in_use": None if health is None or health.pool is None else health.pool.in_use,
            "pool_size": None if health is None or health.pool is None else health.pool.size,
        }
        now = self._manager.clock.now()
        self.history.add(now.timestamp(), point)
        step_s, _ = WINDOWS["5m"]
        self.point = {"at_s": int(now.timestamp()) // step_s * step_s, **point}
        self.components.note(
            now, health, lag=(lag_p95, lag_max), sockets=len(self._hub.connections), draining=self._hub.draining
        )

    def _rates(self, at: float, health: Health | None) -> dict[str, float | None]:
        hits = 0 if health is None or health.cache is None else health.cache.hits
        now = (at, self._hub.joined, self._hub.left, self._changes, hits)
        before, self._before = self._before, now
        if before is None or at <= before[0]:
            return {"connects_s": 0.0, "disconnects_s": 0.0, "changes_s": 0.0, "cache_hits_s": None}
        span = at - before[0]
        per_s = [round((new - old) / span, 3) for new, old in zip(now[1:], before[1:], strict=True)]
        has_cache = health is not None and health.cache is not None
        return {
            "connects_s": per_s[0],
            "disconnects_s": per_s[1],
            "changes_s": per_s[2],
            "cache_hits_s": per_s[3] if has_cache else None,
        }

    def _on_events(self, events: Sequence[Event]) -> None:
        for event in events:
            if event.kind in _OF_DOCUMENTS:
                self._changes += max(1, len(event.changes))
                self.restores += event.kind is EventKind.DOCUMENT_RESTORED
            elif event.kind in _OF_SESSIONS:
                for listener in self._listeners:
                    listener.add(event.key)
            elif event.kind is EventKind.NEWS_MISSED:
                self.on_events_missed()

    def on_events_missed(self) -> None:
        """Whoever shows something looks again."""
        for listener in self._listeners:
            listener.is_all = True
