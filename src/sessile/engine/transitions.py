"""What several verbs do to a session inside their transactions, each with its audit event."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sessile.model.audit import AuditEvent
from sessile.model.events import Event, EventKind
from sessile.model.session import EndReason, Session
from sessile.ports import Transaction


def end(tx: Transaction, sessions: Sequence[Session], reason: EndReason, now: datetime) -> int:
    """Ends them, and tells their sockets; how many. The caller holds their locks and knows that they have not ended."""
    for session in sessions:
        ended = replace(session, ended_at=now, end_reason=reason, version=session.version + 1)
        tx.sessions.update(ended)
        tx.audit([session_event(ended, "session_ended", now, reason=str(reason))])
        tx.emit(Event(EventKind.SESSION_ENDED, session.session_id, ended.version, detail=str(reason)))
    return len(sessions)


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
