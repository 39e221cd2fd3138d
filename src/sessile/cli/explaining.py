"""Why somebody was logged out, from the row of the session and the audit log."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sessile.model.errors import SessionNotFound
from sessile.model.session import EndReason
from sessile.model.wire import iso

if TYPE_CHECKING:
    from datetime import datetime

    from sessile.model.audit import AuditEvent
    from sessile.model.session import Session
    from sessile.runtime.blocking import SessionManager

_WHY: Final = {
    EndReason.LOGOUT: "They logged out, on this device.",
    EndReason.EXPIRED: "A deadline passed.",
    EndReason.REVOKED: "It was ended from another device of theirs, or by the application.",
    EndReason.SUPERSEDED: "Another user logged in in the same browser.",
    EndReason.LIMIT: "They logged in elsewhere, and there may be only so many sessions at once (sessions_per_user_max).",
    EndReason.PASSWORD_CHANGED: "Their password or another factor was changed, which ends all other sessions.",
    EndReason.ADMIN: "An operator ended it.",
    EndReason.THEFT: "A token that had been replaced was used again, and end_on_late_use is on: somebody may have copied it.",
    EndReason.MAINTENANCE: "Maintenance began, and ended sessions.",
}
_EVENTS_MAX: Final = 50


@dataclass(frozen=True, slots=True)
class Explanation:
    """`state`: live, expired, ended or unknown. `trail`: what the audit log has of it, oldest first, as (time, event, what)."""

    session_id: str
    state: str
    why: str
    trail: list[tuple[str, str, str]]


def explain(manager: SessionManager, session_id: str) -> Explanation:
    """What became of the session with this handle."""
    events = list(reversed(manager.audit.events(f"session:{session_id}", limit=_EVENTS_MAX)))
    try:
        session = manager.operators.session(session_id)
    except SessionNotFound:
        days = f"{manager.settings.ended_retention_d:g}"
        why = f"There is no such session: either never, or it ended more than {days} days ago and was removed; or another database is looked at."
        return Explanation(session_id, "unknown", why, _trail(events))
    now = manager.clock.now()
    if session.ended_at is not None:
        acts = [*events, *manager.audit.events(f"user:{session.user_id}", limit=_EVENTS_MAX)]
        return Explanation(session_id, "ended", _why_ended(session, acts), _trail(events))
    if now >= session.expires_at:
        return Explanation(session_id, "expired", _deadline(session, session.expires_at), _trail(events))
    late = (
        " A token that had been replaced was used late: a second copy of the cookie is about."
        if _has(events, "authn_token_reuse")
        else ""
    )
    why = f"It is live until {iso(session.expires_at)}. Whoever is logged out sends another cookie, or none: sessile doctor --url.{late}"
    return Explanation(session_id, "live", why, _trail(events))


def _why_ended(session: Session, acts: list[AuditEvent]) -> str:
    ended_at = session.ended_at or session.expires_at
    reason = session.end_reason
    why = "The row does not say why." if reason is None else _WHY[reason]
    if reason is EndReason.EXPIRED:
        why = _deadline(session, ended_at)
    if reason is EndReason.ADMIN:
        before = [one for one in acts if one.type == "operator_acted" and one.at <= ended_at]
        if before:
            act = max(before, key=lambda one: one.at)
            why += f" It was {act.data['by']} ({act.data['action']}): {act.data['reason'] or 'no reason was given'}."
    return f"{why} That was at {iso(ended_at)}."


def _deadline(session: Session, at: datetime) -> str:
    if session.idle_expires_at < session.absolute_expires_at:
        return (
            f"Nothing was done from {iso(session.last_seen_at)} until {iso(session.idle_expires_at)} (idle_timeout_s)."
        )
    return f"It had lasted as long as a session may, until {iso(session.absolute_expires_at)} (absolute_timeout_s); looked at {iso(at)}."


def _has(events: list[AuditEvent], kind: str) -> bool:
    return any(event.type == kind for event in events)


def _trail(events: list[AuditEvent]) -> list[tuple[str, str, str]]:
    return [
        (iso(event.at), event.type, ", ".join(f"{name}={value}" for name, value in event.data.items()))
        for event in events
    ]
