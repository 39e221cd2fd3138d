"""Bringing the audit log to its sinks, from the table and never from a request: at least once, in the order of each stream, from where the last process stopped.

Every process looks; one at a time delivers, by a lease that it renews with each batch that is kept. Events are given to the sink first and kept as delivered after
that, so who dies in between leaves them to be delivered again, and never lost.
"""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
import threading
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Final

from sessile.engine.delivery import DeliveryEngine
from sessile.model.audit import AuditEvent
from sessile.ports import Clock, Store
from sessile.runtime.settings import Settings
from sessile.runtime.sinks import Sink, SinkFailed, make_sinks

logger = logging.getLogger("sessile.audit")

DELIVERY_INTERVAL_S: Final = 1.0
LEASE_S: Final = 30.0
"""Longer than a sink usually takes for a batch; after a crash another process waits for its end. Whoever took longer, and found that another one has the turn by
now, takes less at once."""
_LOOK_AGAIN_S: Final = LEASE_S / 10
EVENTS_AT_ONCE: Final = 100
_BATCHES_AT_ONCE: Final = 50
HORIZON_S: Final = 60.0
"""How far each look goes back behind the one before it: a transaction that takes longer, or a clock that is more behind, is found by the next whole look."""
WHOLE_LOOK_S: Final = 300.0
"""How often every stream is looked at, whatever the times of its events."""
_BACKOFF_MAX_S: Final = 300.0

Carry = Callable[[Sink, Sequence[AuditEvent]], Awaitable[None]]


class Delivery:
    """Of one sink. `carry` gives events to it in the way of the lane."""

    def __init__(self, sink: Sink, engine: DeliveryEngine, clock: Clock, carry: Carry) -> None:
        self.name = f"audit to {sink.name}"
        self._sink = sink
        self._engine = engine
        self._clock = clock
        self._carry = carry
        self._holder = secrets.token_hex(8)
        self._since: datetime | None = None
        self._whole_look_at: datetime | None = None
        self._not_before: datetime | None = None
        self._failures = 0
        self._at_once = EVENTS_AT_ONCE

    @property
    def failures(self) -> int:
        """How often in a row the sink did not take what it was given."""
        return self._failures

    async def round(self) -> None:
        """Delivers what there is, at most 5000 events; nothing while another process does, nor before the time after a failure. Raises StoreUnavailable."""
        now = self._clock.now()
        if self._not_before is not None and now < self._not_before:
            return
        if self._whole_look_at is None or now >= self._whole_look_at:
            self._since = None
        if not (await self._engine.next_batch(self._sink.name, self._since, 1)).positions:
            self._seen_all(now)
            return
        if not await self._engine.claim(self._sink.name, self._holder, LEASE_S):
            self._not_before = now + timedelta(seconds=_LOOK_AGAIN_S)
            return
        for _ in range(_BATCHES_AT_ONCE):
            batch = await self._engine.next_batch(self._sink.name, self._since, self._at_once)
            if not batch.positions:
                self._seen_all(now)
                await self._engine.release(self._sink.name, self._holder)
                return
            if not await self._delivered(batch.events):
                return
            if not await self._engine.keep(self._sink.name, self._holder, LEASE_S, batch.positions):
                # What was delivered comes again, and would for ever if it took too long each time.
                self._at_once = max(1, self._at_once // 4)
                return
            self._at_once = min(EVENTS_AT_ONCE, 2 * self._at_once)

    def _seen_all(self, now: datetime) -> None:
        if self._since is None:
            self._whole_look_at = now + timedelta(seconds=WHOLE_LOOK_S)
        self._since = now - timedelta(seconds=HORIZON_S)

    async def _delivered(self, events: Sequence[AuditEvent]) -> bool:
        try:
            if events:
                await self._carry(self._sink, events)
        except SinkFailed as failure:
            self._failures += 1
            # Somewhere between half of it and all: the processes of a fleet do not come back together.
            wait_s = min(_BACKOFF_MAX_S, 2.0 ** min(self._failures, 16)) * random.uniform(0.5, 1)  # noqa: S311 - no secret
            self._not_before = self._clock.now() + timedelta(seconds=wait_s)
            logger.warning(
                "The audit sink %s failed (%s); it is tried again in %.0f s",
                self._sink.name,
                failure,
                wait_s,
                extra={"event_name": "audit_sink_failed"},
            )
            return False
        if self._failures:
            logger.info(
                "The audit sink %s takes events again", self._sink.name, extra={"event_name": "audit_sink_recovered"}
            )
        self._failures, self._not_before = 0, None
        return True


def make_deliveries(settings: Settings, store: Store, clock: Clock, carry: Carry) -> list[Delivery]:
    """One for each sink that the settings name."""
    engine = DeliveryEngine(store, clock)
    return [Delivery(sink, engine, clock, carry) for sink in make_sinks(settings)]


async def carry_here(sink: Sink, events: Sequence[AuditEvent]) -> None:
    """For a thread that may wait."""
    sink.deliver(events)


async def carry_aside(sink: Sink, events: Sequence[AuditEvent]) -> None:
    """For an event loop, which must not wait: in a thread that ends with the process, so that a receiver which says nothing holds up no shutdown either."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()

    def tell(failure: BaseException | None) -> None:
        if done.done():
            return
        if failure is None:
            done.set_result(None)
        else:
            done.set_exception(failure)

    def run() -> None:
        failure: BaseException | None = None
        try:
            sink.deliver(events)
        except Exception as error:  # noqa: BLE001 - goes to the one who waits
            failure = error
        with suppress(RuntimeError):  # the loop is closed: nobody waits, and the events come again
            loop.call_soon_threadsafe(tell, failure)

    threading.Thread(target=run, name=f"sessile-audit-{sink.name}", daemon=True).start()
    await done
