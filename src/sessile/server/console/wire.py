"""Records as the console shows them. Never a token, never a session's data, never a document's state."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sessile.engine.oversight import SeenSession
from sessile.model.audit import AuditEvent
from sessile.model.audit_vocabulary import owasp_name
from sessile.model.document import Document
from sessile.model.operator_access import OperatorCredential
from sessile.model.presence import PresenceLease
from sessile.model.session import Principal, Session
from sessile.model.wire import iso, iso_or_none
from sessile.server.realtime.hub import Hub


def row(seen: SeenSession, hub: Hub) -> dict[str, Any]:
    """A line of the list of sessions."""
    session = seen.session
    own = [lease for lease in seen.leases if not lease.document_id]
    label = session.device.get("label") or next((lease.label for lease in own if lease.label), None)
    return {
        "session_id": session.session_id,
        "user_id": session.user_id,
        "state": str(seen.state),
        "platform_id": session.platform_id,
        "device": label,
        "nodes": sorted({lease.node_id for lease in own}),
        "tabs": sum(lease.tabs for lease in own),
        "rtt_ms": hub.round_trips.of_session(session.session_id),
        "created_at": iso(session.created_at),
        "last_seen_at": iso(session.last_seen_at),
        "expires_at": iso(session.expires_at),
        "disconnected_at": iso_or_none(session.disconnected_at),
        "reconnected_at": iso_or_none(session.reconnected_at),
        "ended_at": iso_or_none(session.ended_at),
        "end_reason": None if session.end_reason is None else str(session.end_reason),
        "is_remembered": session.is_remembered,
        "version": session.version,
    }


def session_detail(seen: SeenSession, hub: Hub) -> dict[str, Any]:
    """The same and more, of one session."""
    session: Session = seen.session
    return {
        **row(seen, hub),
        "authenticated_at": iso_or_none(session.authenticated_at),
        "idle_expires_at": iso(session.idle_expires_at),
        "absolute_expires_at": iso(session.absolute_expires_at),
        "can_extend": session.can_extend,
        "data_bytes": len(session.data),
        "is_bound": session.binding is not None,
    }


def device(lease: PresenceLease) -> dict[str, Any]:
    return {
        "device_id": lease.device_id,
        "label": lease.label,
        "node_id": lease.node_id,
        "tabs": lease.tabs,
        "visible": lease.visible,
        "seen_at": iso(lease.seen_at),
        "lease_until": iso(lease.lease_until),
    }


def devices(leases: Sequence[PresenceLease]) -> list[dict[str, Any]]:
    """Those of a session itself."""
    return [device(lease) for lease in leases if not lease.document_id]


def document(found: Document) -> dict[str, Any]:
    """Whose it is and where it stands; not what is in it."""
    return {
        "document_id": found.document_id,
        "name": found.name,
        "kind": found.schema_name or None,
        "owner_user_id": found.owner.user_id,
        "owner_session_id": found.owner.session_id,
        "version": found.version,
        "epoch": found.epoch,
        "generation": found.generation,
        "status": found.status,
        "created_at": iso(found.created_at),
        "updated_at": iso(found.updated_at),
        "last_activity_at": iso(found.last_activity_at),
    }


def user(user_id: str, known: Principal | None, sessions: int) -> dict[str, Any]:
    return {
        "user_id": user_id,
        "roles": [] if known is None else list(known.roles),
        "disabled_at": None if known is None else iso_or_none(known.disabled_at),
        "sessions_max": None if known is None else known.sessions_max,
        "sessions": sessions,
    }


def event(found: AuditEvent) -> dict[str, Any]:
    return {
        "id": f"{found.stream}:{found.position}",
        "at": iso(found.at),
        "event": owasp_name(found),
        "type": found.type,
        "stream": found.stream,
        "position": found.position,
        "user_id": found.user_id,
        "session_id": found.session_id,
        "document_id": found.document_id,
        "by": found.data.get("by"),
        "reason": found.data.get("reason"),
        "data": dict(found.data),
        "hash": found.hash.hex(),
    }


def credential(found: OperatorCredential, current: OperatorCredential) -> dict[str, Any]:
    return {
        "id": found.credential_id,
        "operator": found.operator,
        "role": str(found.role),
        "kind": str(found.kind),
        "created_at": iso(found.created_at),
        "seen_at": iso(found.seen_at),
        "expires_at": iso(found.expires_at),
        "is_current": found.credential_id == current.credential_id,
    }
