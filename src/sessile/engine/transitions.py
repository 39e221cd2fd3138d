"""What several verbs do to a session inside their transactions, each with its audit event."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

from sessile.model.anomaly import Anomaly
from sessile.model.audit import AuditEvent
from sessile.model.events import Event, EventKind
from sessile.model.fence import ENTRY_TTL_S
from sessile.model.session import EndReason, Session
from sessile.ports import Transaction

CACHED_MAX: Final = timedelta(seconds=ENTRY_TTL_S + 60)


def end(tx: Transaction, sessions: Sequence[Session], reason: EndReason, now: datetime) -> int:
    """Ends them, and tells their sockets; how many. The caller holds their locks and knows that they have not ended."""
    ended = [replace(session, ended_at=now, end_reason=reason, version=session.version + 1) for session in sessions]
    tx.sessions.update_many(ended)
    tx.audit([session_event(session, "session_ended", now, reason=str(reason)) for session in ended])
    for session in ended:
        tx.emit(Event(EventKind.SESSION_ENDED, session.session_id, session.version, detail=str(reason)))
    return len(ended)


def confirm_ended(tx: Transaction, user_id: str, now: datetime) -> None:
    """What another call has ended a moment ago, and perhaps not told everybody yet, is told again: nobody gets the answer "all are over" before it
    is true everywhere. Before that moment no cache can have kept anything."""
    tx.sessions.confirm(tx.sessions.ended_since(user_id, now - CACHED_MAX))


def note_anomaly(tx: Transaction, session: Session, anomaly: Anomaly, now: datetime, **data: Any) -> None:
    """One audit event in the session's stream, and news for whoever listens."""
    tx.audit([session_event(session, str(anomaly), now, **data)])
    tx.emit(Event(EventKind.ANOMALY, session.session_id, session.version, detail=str(anomaly)))


def note_system_anomaly(tx: Transaction, anomaly: Anomaly, now: datetime, **data: Any) -> None:
    """The same where it is about no session."""
    tx.audit([AuditEvent(stream="system", type=str(anomaly), at=now, data=data)])
    tx.emit(Event(EventKind.ANOMALY, "", detail=str(anomaly)))


def session_event(session: Session, kind: str, at: datetime, **data: Any) -> AuditEvent:
    """An event of the session's own stream."""
    return AuditEvent(
        stream=f"session:{session.session_id}",
        type=kind,
        at=at,
        user_id=session.user_id,
        session_id=session.session_id,
        data=data,
    )
