"""Maintenance: nobody new is let in but who is spared, and the others' sessions can be ended."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from sessile.engine.transitions import end
from sessile.model.audit import AuditEvent
from sessile.model.errors import InvalidValue, MaintenanceUnderway
from sessile.model.events import Event, EventKind
from sessile.model.limits import LABEL_LENGTH_MAX
from sessile.model.maintenance import Maintenance
from sessile.model.session import EndReason, Principal
from sessile.ports import Clock, Store, Transaction

ENDED_AT_ONCE: Final = 100
_ROW: Final = "maintenance"


class MaintenanceEngine:
    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def get(self) -> Maintenance | None:
        """What is in force now."""
        return await self._store.read(in_force, self._clock.now())

    async def announced(self) -> Maintenance | None:
        """What is in force now, or will be."""
        return await self._store.read(_announced, self._clock.now())

    async def begin(
        self,
        message: str,
        until: datetime | None,
        roles_spared: Sequence[str],
        *,
        since: datetime | None = None,
        drains: bool = False,
    ) -> Maintenance:
        """From now on, or from `since` on, nobody new is let in but users with one of the roles. Again changes what is told. Raises InvalidValue."""
        now = self._clock.now()
        if since is not None and since.tzinfo is None:
            raise InvalidValue("/since", "is an aware time")
        begins = now if since is None else max(now, since)
        if len(message) > LABEL_LENGTH_MAX or not message.isprintable():
            raise InvalidValue("/message", f"is a text of at most {LABEL_LENGTH_MAX} printable characters")
        if until is not None and (until.tzinfo is None or until <= begins):
            raise InvalidValue("/until", "is an aware time in the future, behind the beginning")
        begun = Maintenance(message=message, since=begins, until=until, roles_spared=tuple(roles_spared), drains=drains)
        return await self._store.write(_begin, begun, now)

    async def end(self) -> bool:
        """False when none was in force or announced."""
        return await self._store.write(_end, self._clock.now())

    async def end_sessions(self, after: str) -> tuple[int, str | None]:
        """Ends the sessions of a batch of users who are not spared; how many, and where the next batch begins. Anonymous sessions stay: nobody
        could come back to what was made in them."""
        return await self._store.write(self._end_sessions, after)

    def _end_sessions(self, tx: Transaction, after: str) -> tuple[int, str | None]:
        now = self._clock.now()
        underway = in_force(tx, now)
        user_ids = tx.sessions.live_users(now, after, ENDED_AT_ONCE)
        if underway is None or not user_ids:
            return 0, None
        ended = 0
        for user_id in user_ids:  # in the order of their ids, as locks are taken everywhere
            if not underway.spares(tx.sessions.principal(user_id, lock=True) or Principal(user_id)):
                ended += end(tx, tx.sessions.of_user(user_id, now, lock=True), EndReason.MAINTENANCE, now)
        return ended, user_ids[-1]


def in_force(tx: Transaction, now: datetime) -> Maintenance | None:
    kept = _announced(tx, now)
    return kept if kept is not None and kept.is_in_force(now) else None


def _announced(tx: Transaction, now: datetime) -> Maintenance | None:
    raw = tx.instance(_ROW)
    kept = msgspec.json.decode(raw, type=Maintenance) if raw is not None else None
    return kept if kept is not None and not kept.is_over(now) else None


def check_open(tx: Transaction, principal: Principal, now: datetime) -> None:
    """Raises MaintenanceUnderway for who is not let in just now."""
    underway = in_force(tx, now)
    if underway is not None and not underway.spares(principal):
        left = None if underway.until is None else underway.until - now
        raise MaintenanceUnderway(underway.message, underway.until, left)


def _begin(tx: Transaction, begun: Maintenance, now: datetime) -> Maintenance:
    tx.put_instance(_ROW, msgspec.json.encode(begun).decode())
    told: dict[str, Any] = {
        "message": begun.message,
        "until": _iso(begun.until),
        "roles_spared": list(begun.roles_spared),
    }
    if begun.drains:
        told["drains"] = True
    if begun.since > now:
        tx.audit([_event("maintenance_announced", now, since=_iso(begun.since), **told)])
    else:
        tx.audit([_event("maintenance_begun", now, **told)])
    tx.emit(Event(EventKind.MAINTENANCE_CHANGED, ""))
    return begun


def _end(tx: Transaction, now: datetime) -> bool:
    was = _announced(tx, now) is not None
    tx.put_instance(_ROW, None)
    if was:
        tx.audit([_event("maintenance_ended", now)])
        tx.emit(Event(EventKind.MAINTENANCE_CHANGED, ""))
    return was


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


def _event(kind: str, at: datetime, **data: Any) -> AuditEvent:
    return AuditEvent(stream="system", type=kind, at=at, data=data)
