"""Reading the audit log, and checking that its chains are as they were written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from sessile.model.audit import AuditEvent, AuditFault, AuditStream, fault_of
from sessile.ports import Store, Transaction

_STREAMS_AT_ONCE: Final = 100
_EVENTS_AT_ONCE: Final = 1000


@dataclass(frozen=True, slots=True)
class AuditReport:
    """How many chains and events were looked at, and what was wrong; nothing: all is as it was written."""

    streams: int
    events: int
    faults: Sequence[AuditFault]


class AuditEngine:
    def __init__(self, store: Store) -> None:
        self._store = store

    async def events(self, stream: str, before: int | None, limit: int) -> list[AuditEvent]:
        """Of one stream, newest first, below position `before` where given."""
        return await self._store.read(_recent, stream, before, limit)

    async def verify(self, stream: str | None) -> AuditReport:
        """One stream or all of them, each as it stands at one moment. An unknown stream has no events and no faults."""
        after, streams, events, faults = "", 0, 0, list[AuditFault]()
        while True:
            report, last = await self._store.read(_verify, stream, after)
            streams, events = streams + report.streams, events + report.events
            faults += report.faults
            if last is None:
                return AuditReport(streams, events, faults)
            after = last


def _recent(tx: Transaction, stream: str, before: int | None, limit: int) -> list[AuditEvent]:
    return tx.recent_audit(stream, before=before, limit=limit)


def _verify(tx: Transaction, stream: str | None, after: str) -> tuple[AuditReport, str | None]:
    """A page of chains, and the name of its last one; None on the last page."""
    if stream is not None:
        known = tx.audit_chain(stream)
        # Without its chain, events of that name are events that nobody wrote.
        is_there = known is not None or tx.audit_stream(stream, limit=1)
        chains, last = [known or AuditStream(stream, 0, b"")] if is_there else [], None
    else:
        chains = tx.audit_streams(after=after, limit=_STREAMS_AT_ONCE)
        last = chains[-1].stream if len(chains) == _STREAMS_AT_ONCE else None
    events, faults = 0, list[AuditFault]()
    for chain in chains:
        for event, fault in _walk(tx, chain):
            events += event
            if fault is not None:
                faults.append(fault)
    return AuditReport(len(chains), events, faults), last


def _walk(tx: Transaction, chain: AuditStream) -> Iterator[tuple[int, AuditFault | None]]:
    """(1, what is wrong with it) for each event, then (0, what is wrong with the end)."""
    position, previous = chain.base_position, chain.base_hash
    while page := tx.audit_stream(chain.stream, after=position, limit=_EVENTS_AT_ONCE):
        for event in page:
            problem = fault_of(event, position + 1, previous)
            yield 1, None if problem is None else AuditFault(chain.stream, event.position, problem)
            position, previous = event.position, event.hash
    if (position, previous) != (chain.position, chain.hash):
        yield 0, AuditFault(chain.stream, 0, f"it ends at position {position} and not at {chain.position} as written")
