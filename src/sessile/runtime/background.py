"""What happens between requests: hints from other processes, touches, automatic checkpoints, sweeping, what is too old. Each loop survives an outage.

Of several processes on one store, one elected by a lease sweeps and takes checkpoints; if it dies, another takes over when the lease ends.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import Final

from sessile.engine.caching import SessionCache
from sessile.model.errors import StoreUnavailable
from sessile.ports import Clock, Store, Transaction
from sessile.runtime.assemble import Engines
from sessile.runtime.configuration import FOLLOW_INTERVAL_S, AsyncConfiguration
from sessile.runtime.delivery import DELIVERY_INTERVAL_S, Delivery
from sessile.runtime.documents import COMPACTED_AT_ONCE
from sessile.runtime.presence import LAPSED_AT_ONCE, RENEWALS_PER_LEASE
from sessile.runtime.settings import Settings
from sessile.runtime.touches import Touches
from sessile.runtime.watch import Watch
from sessile.telemetry.profiling import IN_BACKGROUND
from sessile.telemetry.rounds import Rounds

logger = logging.getLogger("sessile.background")

POLL_INTERVAL_S: Final = 0.05
"""How late another process's change may show here: half of what a person notices."""
TOUCH_INTERVAL_S: Final = 1.0
RETRY_INTERVAL_S: Final = 1.0
KEPT_A_PERIOD: Final = 4
"""So often in its life a look at the fence may be taken anew; it is when it has grown older than a third of it."""
NOTICED_WITHIN_S: Final = 60.0
"""How late another interval is noticed."""
Interval = float | Callable[[], float]
_ACTIVE_WITHIN: Final = timedelta(days=1)
_CHECKPOINTS_AT_ONCE: Final = 100


class Background:
    def __init__(
        self,
        store: Store,
        engines: Engines,
        settings: Settings,
        clock: Clock,
        touches: Touches,
        cached: SessionCache | None = None,
        deliveries: Sequence[Delivery] = (),
        watch: Watch | None = None,
    ) -> None:
        self.watch = watch
        self._cached = cached
        self._deliveries = deliveries
        self._store = store
        self._engines = engines
        self._settings = settings
        self._clock = clock
        self._touches = touches
        self._configuration = AsyncConfiguration(settings, engines.reloading)
        self._holder = secrets.token_hex(8)
        self._tasks: list[asyncio.Task[None]] = []
        self._presence_interval_s = settings.presence_lease_s / RENEWALS_PER_LEASE
        self._looked_at: datetime | None = None
        self._lapses_from: datetime | None = None

    def start(self) -> None:
        """Starts the loops on the running event loop."""
        settings = self._settings  # may change while the loops run
        loops: list[tuple[str, Interval, Callable[[], Awaitable[None]]]] = [
            ("poll", POLL_INTERVAL_S, self._store.poll),
            ("touch", TOUCH_INTERVAL_S, self._touches.write),
            ("presence", self._presence_interval_s, self.lapse),
            ("settings", FOLLOW_INTERVAL_S, self.follow_settings),
            ("checkpoint", lambda: settings.checkpoint_interval_s, self.take_checkpoints),
            ("compaction", lambda: settings.compaction_interval_s, self.compact),
            ("sweep", lambda: settings.sweep_interval_s, self.sweep),
            ("retention", lambda: settings.retention_interval_s, self.forget),
        ]
        loops += [(delivery.name, DELIVERY_INTERVAL_S, delivery.round) for delivery in self._deliveries]
        if self.watch is not None:
            loops.append(("watch", self._settings.health_interval_s, self.watch.round))
        if self._cached is not None:
            loops.append(("cache", self._settings.fence_period_s / KEPT_A_PERIOD, self.keep_cache))
        self._tasks = [
            asyncio.create_task(
                _repeat(name, interval_s, work, None if self.watch is None else self.watch.rounds),
                name=f"sessile-{name}",
            )
            for name, interval_s, work in loops
        ]

    async def stop(self) -> None:
        """Ends the loops and writes the touches that still wait."""
        # Without a lifespan, test clients give every request a loop of its own: tasks of a loop that is gone are done, and not to be awaited here.
        running = [task for task in self._tasks if not task.done()]
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        self._tasks = []
        try:
            await self._touches.write()
        except StoreUnavailable:
            logger.warning(
                "The store is away: the last activity of some sessions was not written",
                extra={"event_name": "touch_unwritten"},
            )

    async def take_checkpoints(self) -> None:
        """Automatic checkpoints of what changed, when it is this process's turn."""
        if await self._elected("checkpoints", self._settings.checkpoint_interval_s):
            await self._engines.checkpoints.automatic(_ACTIVE_WITHIN, _CHECKPOINTS_AT_ONCE)
            await self._store.tidy()

    async def sweep(self) -> None:
        """Ends sessions past a deadline, batch by batch, when it is this process's turn."""
        if await self._elected("sweep", self._settings.sweep_interval_s):
            while await self._engines.sessions.sweep(self._settings.sweep_batch) == self._settings.sweep_batch:
                pass

    async def follow_settings(self) -> None:
        """Reads the settings again when somebody has asked all processes to."""
        await self._configuration.follow()

    async def keep_cache(self) -> None:
        """Looks at the fence while sessions are read, so that requests need not."""
        if self._cached is not None and self._cached.is_due:
            await self._cached.keep()

    async def lapse(self) -> None:
        """Disconnects the devices of processes that died. Each process looks: that is one read, and an election could wait for the dead one.
        While the store was away nobody could renew anything, so after that (or a sleep of this machine) everybody first gets the time to."""
        now, lease = self._clock.now(), timedelta(seconds=self._settings.presence_lease_s)
        await self._store.read(_look)
        if self._looked_at is not None and now - self._looked_at > lease / 2:
            self._lapses_from = now + lease
        self._looked_at = now
        if self._lapses_from is None or now >= self._lapses_from:
            while await self._engines.presence.lapse(LAPSED_AT_ONCE) == LAPSED_AT_ONCE:
                pass

    async def compact(self) -> None:
        """Forgets old lines of logs, batch by batch, when it is this process's turn."""
        if await self._elected("compaction", self._settings.compaction_interval_s):
            while await self._engines.history.compact(COMPACTED_AT_ONCE):
                pass

    async def forget(self) -> None:
        """Removes what is too old, batch by batch, when it is this process's turn."""
        if await self._elected("retention", self._settings.retention_interval_s):
            retention = self._engines.retention
            for work in (retention.forget_sessions, retention.forget_audit, retention.forget_passing):
                while await work():
                    pass

    async def _elected(self, name: str, interval_s: float) -> bool:
        now = self._clock.now()
        return await self._store.write(_lease, name, self._holder, now, now + timedelta(seconds=2 * interval_s))


async def _repeat(
    name: str, interval: Interval, work: Callable[[], Awaitable[None]], rounds: Rounds | None = None
) -> None:
    IN_BACKGROUND.set(True)
    away = False
    while True:
        await _sleep(interval, RETRY_INTERVAL_S if away else 0.0)
        try:
            await work()
        except StoreUnavailable:
            if not away:
                logger.warning(
                    "The store cannot be reached; %s goes on when it is back",
                    name,
                    extra={"event_name": "background_away"},
                )
            away = True
            if rounds is not None:
                rounds.away(name)
        except Exception:  # the loop must outlive one bad round; the traceback is in the log
            logger.exception("A round of %s failed", name, extra={"event_name": "background_failed"})
            if rounds is not None:
                rounds.failed(name)
        else:
            away = False
            if rounds is not None:
                rounds.done(name)


async def _sleep(interval: Interval, least_s: float) -> None:
    """The interval may become another one meanwhile."""
    if not callable(interval):
        await asyncio.sleep(max(interval, least_s))
        return
    now = asyncio.get_running_loop().time
    began = now()
    while (left_s := began + max(interval(), least_s) - now()) > 0:  # noqa: ASYNC110 - a time is waited for
        await asyncio.sleep(min(left_s, NOTICED_WITHIN_S))


def _look(tx: Transaction) -> None:
    tx.instance("ready")


def _lease(tx: Transaction, name: str, holder: str, now: datetime, until: datetime) -> bool:
    return tx.lease(name, holder, now, until)
