"""Reading the audit log, and checking that its chains are as they were written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sessile.model.audit import AuditEvent, AuditFault, AuditPage, AuditPlace, AuditStream, fault_of
from sessile.model.errors import InvalidValue
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

    async def tail(self, after: str | None, limit: int) -> AuditPage:
        """Of all streams: the last events, or with `after` (of an earlier page) those behind it. Raises InvalidValue for an `after` that no page gave."""
        place = None if after is None else _place(after)
        events = await self._store.read(_tail, place, limit)
        return AuditPage(events, str(AuditPlace.of(events[-1])) if events else after)

    async def page(
        self, after: str | None, since: datetime | None, until: datetime | None, stream: str | None
    ) -> AuditPage:
        """A page of an export, oldest first: of one stream or of all, from `since` on, before `until`. It goes on with `after` until that is None.
        Raises InvalidValue."""
        place = None if after is None else _place(after)
        if place is None and since is not None:
            place = AuditPlace(since, "", 0)
        events = await self._store.read(_page, stream, place, _EVENTS_AT_ONCE)
        is_last = len(events) < _EVENTS_AT_ONCE or (until is not None and events[-1].at >= until)
        last = None if is_last else str(AuditPlace.of(events[-1]))
        return AuditPage(
            [e for e in events if (since is None or e.at >= since) and (until is None or e.at < until)], last
        )

    async def verify(self, stream: str | None, known: Sequence[AuditStream] = ()) -> AuditReport:
        """One stream or all of them, each as it stands at one moment. An unknown stream has no events and no faults. `known` are ends that somebody
        noted elsewhere (`AuditStream` of an export's last event): a chain that has not that event any more, or not as it was, is named, which is
        what finds a chain that was cut off together with its end."""
        after, streams, events, faults = "", 0, 0, list[AuditFault]()
        faults += await self._store.read(_strangers, stream)
        faults += await self._store.read(_compare, stream, tuple(known))
        while True:
            report, last = await self._store.read(_verify, stream, after)
            streams, events = streams + report.streams, events + report.events
            faults += report.faults
            if last is None:
                return AuditReport(streams, events, faults)
            after = last


def _place(text: str) -> AuditPlace:
    try:
        return AuditPlace.parse(text)
    except (ValueError, OverflowError) as error:
        raise InvalidValue("/after", str(error)) from None


def _tail(tx: Transaction, place: AuditPlace | None, limit: int) -> list[AuditEvent]:
    return tx.latest_audit(limit) if place is None else tx.audit_behind(place, limit)


def _page(tx: Transaction, stream: str | None, place: AuditPlace | None, limit: int) -> list[AuditEvent]:
    if stream is None:
        return tx.audit_behind(place, limit)
    return tx.audit_stream(stream, after=0 if place is None else place.position, limit=limit)


def _strangers(tx: Transaction, stream: str | None) -> list[AuditFault]:
    """Events of streams without a chain. Of one stream `_verify` finds them itself."""
    names = tx.unchained_audit(_STREAMS_AT_ONCE) if stream is None else []
    return [
        AuditFault(name, 0, "it has events and no chain: its end was removed, or nobody wrote them") for name in names
    ]


def _compare(tx: Transaction, stream: str | None, known: Sequence[AuditStream]) -> list[AuditFault]:
    return [
        AuditFault(end.stream, end.position, "it is not what was noted elsewhere")
        for end in known
        if stream in (None, end.stream) and not _has(tx, end)
    ]


def _has(tx: Transaction, end: AuditStream) -> bool:
    chain = tx.audit_chain(end.stream)
    if chain is not None and end.position <= chain.base_position:
        return end.position < chain.base_position or end.hash == chain.base_hash
    found = tx.audit_stream(end.stream, after=end.position - 1, limit=1)
    return bool(found) and found[0].position == end.position and found[0].hash == end.hash


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
