"""What operators see of everybody, and ending many sessions at once with its note in the same transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sessile.engine.history import Point, point_at
from sessile.engine.operators import ACTED, Act
from sessile.engine.ownership import find
from sessile.engine.transitions import end
from sessile.model.audit import AuditEvent, AuditPlace
from sessile.model.document import Actor, State
from sessile.model.errors import InvalidValue
from sessile.model.events import RELOAD, Event, EventKind
from sessile.model.limits import LABEL_LENGTH_MAX, NAME_LENGTH_MAX
from sessile.model.presence import PresenceLease
from sessile.model.session import EndReason, Session
from sessile.model.session_query import SessionQuery, SessionState, parse_device_query, parse_session_query, state_of
from sessile.ports import Clock, Store, Transaction

ENDED_AT_ONCE: Final = 1000
_ENDED_IN_ONE: Final = 100
"""Sessions in one transaction: it holds their locks until its end."""
_SCANNED_MAX: Final = 5000
"""Audit events that one page looks through for rare ones."""
_SCANNED_AT_ONCE: Final = 500


@dataclass(frozen=True, slots=True)
class SeenSession:
    """A session, how it is, and its leases that have not lapsed, with those of documents."""

    session: Session
    state: SessionState
    leases: Sequence[PresenceLease]


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundSessions:
    """A page. `after` leads to the next one; `total` counts all pages."""

    sessions: Sequence[SeenSession]
    total: int
    after: str | None
    terms: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundDevices:
    leases: Sequence[PresenceLease]
    users: Mapping[str, str | None]
    """Whose session it is, by handle."""
    total: int
    after: str | None


@dataclass(frozen=True, slots=True)
class EndedSessions:
    """`sockets`: open ones that they had."""

    ended: int
    already_over: int
    sockets: int


@dataclass(frozen=True, slots=True)
class AuditFound:
    """Newest first. `before` leads on; it can be there with few events or none, where what is looked for is rare."""

    events: Sequence[AuditEvent]
    before: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditFilter:
    """Which events are meant; None: any. `by`: the operator."""

    stream: str | None = None
    type: str | None = None
    user_id: str | None = None
    session_id: str | None = None
    document_id: str | None = None
    by: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    def fits(self, event: AuditEvent) -> bool:
        """Whether it is one of them."""
        return (
            self.stream in (None, event.stream)
            and self.type in (None, event.type)
            and self.user_id in (None, event.user_id)
            and self.session_id in (None, event.session_id)
            and self.document_id in (None, event.document_id)
            and (self.by is None or event.data.get("by") == self.by)
            and (self.since is None or event.at >= self.since)
            and (self.until is None or event.at < self.until)
        )


class OversightEngine:
    """Raises InvalidValue, StoreUnavailable."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def find(self, text: str, *, after: str | None, limit: int, newest_first: bool) -> FoundSessions:
        """A page of the sessions that a query means. Raises InvalidValue with the path `/q`."""
        now = self._clock.now()
        query, terms = parse_session_query(text, now)
        seen, total = await self._store.read(_find, query, now, after, limit, newest_first)
        last = seen[-1].session.session_id if len(seen) == limit else None
        return FoundSessions(sessions=seen, total=total, after=last, terms=terms)

    async def ids(self, text: str, limit: int) -> tuple[list[str], int]:
        """Handles of the sessions that a query means, oldest first, and how many there are in all."""
        now = self._clock.now()
        query, _ = parse_session_query(text, now)
        return await self._store.read(_ids, query, now, limit)

    async def see(self, session_ids: Sequence[str]) -> list[SeenSession]:
        """These, over or not, in their order; unknown ones are left out."""
        return await self._store.read(_see, [key for key in session_ids if key.isprintable()], self._clock.now())

    async def states(self) -> Mapping[SessionState, int]:
        """How many live sessions are in each state."""
        return await self._store.read(_states, self._clock.now())

    async def nodes(self) -> list[tuple[str, int, int, int]]:
        """Processes with connections: node, sessions, devices, tabs."""
        return await self._store.read(_nodes, self._clock.now())

    async def devices(self, text: str, *, after: Sequence[str], limit: int) -> FoundDevices:
        """A page of the devices that are connected. Raises InvalidValue with the path `/q`."""
        query = parse_device_query(text)
        return await self._store.read(_devices, query, self._clock.now(), tuple(after), limit)

    async def document_at(self, document_id: str, point: Point) -> State:
        """What was in a document at a version or checkpoint. Raises DocumentNotFound, CheckpointNotFound, VersionNotKept, InvalidChange."""
        return await self._store.read(_document_at, document_id, point)

    async def end_sessions(self, session_ids: Sequence[str], act: Act) -> EndedSessions:
        """Ends each of them, batch by batch; what an end tells, and the note of who did it and why, are in one transaction. When this has returned nobody
        gets in with their tokens. `act.subject` is not looked at: each session's own stream is told. Raises InvalidValue for texts that cannot be kept."""
        check_act(act)
        ordered = sorted(set(session_ids))
        ended = over = sockets = 0
        for first in range(0, len(ordered), _ENDED_IN_ONE):
            batch = await self._store.write(self._end, ordered[first : first + _ENDED_IN_ONE], act)
            ended, over, sockets = ended + batch.ended, over + batch.already_over, sockets + batch.sockets
        return EndedSessions(ended, over, sockets)

    async def resync(self, session_id: str, document_ids: Sequence[str], act: Act) -> None:
        """Every socket of the session looks again at its session and sends its documents whole once more, in every process. `document_ids` are noted, in the same
        transaction."""
        check_act(act)
        await self._store.write(self._resync, session_id, document_ids, act)

    async def audit(self, meant: AuditFilter, before: str | None, limit: int) -> AuditFound:
        """A page of the events that are meant. Raises InvalidValue for a `before` that no page gave."""
        try:
            place = None if before is None else AuditPlace.parse(before)
        except (ValueError, OverflowError) as error:
            raise InvalidValue("/before", str(error)) from None
        if place is None and meant.until is not None:
            place = AuditPlace(meant.until, "", 0)
        found: list[AuditEvent] = []
        scanned = 0
        while scanned < _SCANNED_MAX:
            events = await self._store.read(_before, meant.stream, place, _SCANNED_AT_ONCE)
            for event in events:
                place = AuditPlace.of(event)
                if meant.since is not None and event.at < meant.since and meant.stream is None:
                    return AuditFound(found, None)
                if meant.fits(event):
                    found.append(event)
                    if len(found) == limit:
                        return AuditFound(found, str(place))
            scanned += len(events)
            if len(events) < _SCANNED_AT_ONCE:
                return AuditFound(found, None)
        return AuditFound(found, None if place is None else str(place))

    # -- inside a transaction -------------------------------------------------------------------------------------------------------

    def _end(self, tx: Transaction, session_ids: Sequence[str], act: Act) -> EndedSessions:
        now = self._clock.now()
        known = tx.sessions.get_many(session_ids, lock=True)
        live = [known[key] for key in sorted(known) if known[key].ended_at is None]
        tx.sessions.confirm([session for session in known.values() if session.ended_at is not None])
        leases = tx.console.leases_of([session.session_id for session in live], now) if live else []
        before = {s.session_id: str(state_of(s, _of(leases, s.session_id), now)) for s in live}
        end(tx, live, EndReason.ADMIN, now)
        tx.audit(
            [
                _acted(
                    act,
                    f"session:{s.session_id}",
                    now,
                    s,
                    before={"state": before[s.session_id]},
                    after={"state": "ended"},
                )
                for s in live
            ]
        )
        sockets = sum(lease.tabs for lease in leases if not lease.document_id)
        return EndedSessions(len(live), len(session_ids) - len(live), sockets)

    def _resync(self, tx: Transaction, session_id: str, document_ids: Sequence[str], act: Act) -> None:
        now = self._clock.now()
        session = tx.sessions.get(session_id)
        if session is None:
            return
        tx.audit([_acted(act, f"session:{session_id}", now, session, documents=len(document_ids))])
        tx.emit(Event(EventKind.SESSION_CHANGED, session_id, session.version, detail=RELOAD))


def check_act(act: Act) -> None:
    """Raises InvalidValue for texts that cannot be kept."""
    for name, text, longest in (("reason", act.reason, LABEL_LENGTH_MAX), ("by", act.by, NAME_LENGTH_MAX)):
        if len(text) > longest or not text.isprintable():
            raise InvalidValue(f"/{name}", f"is a text of at most {longest} printable characters")


def _acted(act: Act, stream: str, at: datetime, session: Session, **data: Any) -> AuditEvent:
    return AuditEvent(
        stream=stream,
        type=ACTED,
        at=at,
        user_id=session.user_id,
        session_id=session.session_id,
        data={"action": act.action, "reason": act.reason, "by": act.by, **data},
    )


def _of(leases: Sequence[PresenceLease], session_id: str) -> list[PresenceLease]:
    return [lease for lease in leases if lease.session_id == session_id]


def _seen(tx: Transaction, sessions: Sequence[Session], now: datetime) -> list[SeenSession]:
    by_session: dict[str, list[PresenceLease]] = {session.session_id: [] for session in sessions}
    for lease in tx.console.leases_of(list(by_session), now) if sessions else ():
        by_session[lease.session_id].append(lease)
    return [SeenSession(s, state_of(s, by_session[s.session_id], now), by_session[s.session_id]) for s in sessions]


def _find(
    tx: Transaction, query: SessionQuery, now: datetime, after: str | None, limit: int, newest_first: bool
) -> tuple[list[SeenSession], int]:
    found = tx.console.search(query, now, after=after, limit=limit, newest_first=newest_first)
    return _seen(tx, found, now), tx.console.count(query, now)


def _ids(tx: Transaction, query: SessionQuery, now: datetime, limit: int) -> tuple[list[str], int]:
    found = tx.console.search(query, now, after=None, limit=limit, newest_first=False)
    return [session.session_id for session in found], tx.console.count(query, now)


def _see(tx: Transaction, session_ids: Sequence[str], now: datetime) -> list[SeenSession]:
    known = tx.sessions.get_many(session_ids)
    return _seen(tx, [known[key] for key in dict.fromkeys(session_ids) if key in known], now)


def _states(tx: Transaction, now: datetime) -> Mapping[SessionState, int]:
    return tx.console.states(now)


def _nodes(tx: Transaction, now: datetime) -> list[tuple[str, int, int, int]]:
    return tx.console.nodes(now)


def _devices(
    tx: Transaction, query: Mapping[str, str], now: datetime, after: tuple[str, ...], limit: int
) -> FoundDevices:
    node_id, label, session_id = query.get("node"), query.get("device", ""), query.get("session")
    leases = tx.console.leases(now, node_id=node_id, label=label, session_id=session_id, after=after, limit=limit)
    sessions = tx.sessions.get_many(sorted({lease.session_id for lease in leases}))
    last = leases[-1] if len(leases) == limit else None
    return FoundDevices(
        leases=leases,
        users={key: session.user_id for key, session in sessions.items()},
        total=tx.console.count_leases(now, node_id=node_id, label=label, session_id=session_id),
        after=None if last is None else f"{last.session_id}.{last.node_id}.{last.device_id}",
    )


def _document_at(tx: Transaction, document_id: str, point: Point) -> State:
    return point_at(tx, find(tx, Actor.system(), document_id), point).state


def _before(tx: Transaction, stream: str | None, place: AuditPlace | None, limit: int) -> list[AuditEvent]:
    if stream is None:
        return tx.console.audit_before(place, limit)
    position = None if place is None or place.stream != stream else place.position
    return tx.recent_audit(stream, before=position, limit=limit)
