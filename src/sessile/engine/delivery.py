"""What of the audit log a sink has not got yet, and how far it has.

Where a stream has come to is kept for each stream, and a stream's positions are given under its lock in the order of its commits: so nothing is missed, whenever a
transaction commits and whatever clock its node has. A mark on the time alone would miss what began before it and committed after.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sessile.model.audit import AuditEvent
from sessile.ports import Clock, Store, Transaction

logger = logging.getLogger("sessile.audit")
_LEASE: Final = "audit_{}"


@dataclass(frozen=True, slots=True)
class Batch:
    """`events` in the order of each stream, and about in that of their times. `positions` are what is delivered when they are; with more than the streams of
    `events` where a chain says that there are events which are not there."""

    events: Sequence[AuditEvent]
    positions: Mapping[str, int]


class DeliveryEngine:
    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def next_batch(self, sink: str, since: datetime | None, limit: int) -> Batch:
        """At most `limit` events that the sink has not: of streams in which something happened since then, with None of all."""
        return await self._store.read(_batch, sink, since, limit)

    async def claim(self, sink: str, holder: str, lease_s: float) -> bool:
        """Whether it is this holder's turn to deliver, for so long."""
        now = self._clock.now()
        return await self._store.write(_claim, sink, holder, now, now + timedelta(seconds=lease_s))

    async def keep(self, sink: str, holder: str, lease_s: float, positions: Mapping[str, int]) -> bool:
        """Keeps how far the sink has come, and the turn. False when it is another's turn by now: then nothing is kept, and the other one delivers again."""
        now = self._clock.now()
        return await self._store.write(_keep, sink, holder, now, now + timedelta(seconds=lease_s), positions)

    async def release(self, sink: str, holder: str) -> None:
        """Ends the turn, so that after a restart nobody waits for its end."""
        now = self._clock.now()
        await self._store.write(_claim, sink, holder, now, now)


def _claim(tx: Transaction, sink: str, holder: str, now: datetime, until: datetime) -> bool:
    return tx.lease(_LEASE.format(sink), holder, now, until)


def _keep(
    tx: Transaction, sink: str, holder: str, now: datetime, until: datetime, positions: Mapping[str, int]
) -> bool:
    is_mine = _claim(tx, sink, holder, now, until)
    if is_mine:
        tx.deliveries.put(sink, {stream: at for stream, at in sorted(positions.items()) if _is_there(tx, stream, at)})
    return is_mine


def _is_there(tx: Transaction, stream: str, position: int) -> bool:
    """A user's stream can be erased while it is delivered, and begin anew: what is kept of the old one would hide the new one. No other stream begins twice."""
    if not stream.startswith("user:"):
        return True
    chain = tx.audit_chain(stream, lock=True)
    return chain is not None and chain.position >= position


def _batch(tx: Transaction, sink: str, since: datetime | None, limit: int) -> Batch:
    found: list[tuple[datetime, AuditEvent]] = []
    positions: dict[str, int] = {}
    for stream, delivered in tx.deliveries.pending(sink, since, limit).items():
        if len(found) == limit:
            break
        events = tx.audit_stream(stream, after=delivered, limit=limit - len(found))
        positions[stream] = events[-1].position if events else _end_of(tx, stream, delivered)
        missing = (events[0].position if events else positions[stream] + 1) - delivered - 1
        if missing and delivered:
            logger.error(
                "%d audit events are gone that the sink %s has not got; see `sessile audit verify`",
                missing,
                sink,
                extra={"event_name": "audit_events_missing"},
            )
        latest = None
        for event in events:
            latest = event.at if latest is None else max(latest, event.at)
            found.append((latest, event))
    # Stable, and never back within a stream: its order stays, whatever the clocks of two nodes said.
    found.sort(key=lambda pair: pair[0])
    return Batch([event for _, event in found], positions)


def _end_of(tx: Transaction, stream: str, delivered: int) -> int:
    chain = tx.audit_chain(stream)
    return delivered if chain is None else chain.position
