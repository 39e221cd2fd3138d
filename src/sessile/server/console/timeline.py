"""What happened to a session and to the documents that it works on, in one list, and the spans in which it was connected."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from starlette.responses import Response

from sessile.model.audit import AuditEvent
from sessile.model.document import Actor, Checkpoint
from sessile.model.errors import DocumentNotFound, InvalidValue
from sessile.model.presence import is_away
from sessile.model.session import Session
from sessile.model.wire import iso
from sessile.server.answers import ok

if TYPE_CHECKING:
    from sessile.server.console.console import Console
    from sessile.server.console.table import Call

_SYSTEM: Final = Actor.system()
_KEPT: Final = 500
"""So many events of one stream are looked at; more than these make the list `truncated`."""
_DOCUMENTS: Final = 10
_AWAY: Final = "session_disconnected"
_BACK: Final = "session_reconnected"
_CONNECTION: Final = frozenset({_AWAY, _BACK, "session_connected"})
TYPES: Final = frozenset({"audit", "connection", "checkpoint"})


async def timeline(call: Call) -> Response:
    from sessile.server.console.sessions import the_session

    seen = await the_session(call)
    types = frozenset((call.text("types") or ",".join(TYPES)).split(","))
    if not types <= TYPES:
        raise InvalidValue("/types", f"has {', '.join(sorted(TYPES))}, separated by commas")
    limit = call.number("limit", 100, 1, 500)
    before = _cursor(call.text("before"))
    entries, spans, is_cut = await of_session(call.console, seen.session)
    meant = [one for one in entries if one["type"] in types and (before is None or _place(one) < before)]
    page = meant[:limit]
    after = f"{page[-1]['at']} {page[-1]['id']}" if len(meant) > limit else None
    return ok({"entries": page, "spans": spans, "before": after, "truncated": is_cut})


async def of_session(console: Console, session: Session) -> tuple[list[dict[str, Any]], list[dict[str, Any]], bool]:
    """Entries, newest first; spans, oldest first; and whether there is more than was looked at."""
    from sessile.server.console.sessions import documents_of

    manager = console.manager
    events = await manager.audit.events(f"session:{session.session_id}", limit=_KEPT)
    documents = await documents_of(console, session.session_id, session.user_id)
    entries = [event_entry(event) for event in events]
    is_cut = len(events) == _KEPT or len(documents) > _DOCUMENTS
    for document in documents[:_DOCUMENTS]:
        try:
            checkpoints = await manager.documents.checkpoints(_SYSTEM, document.document_id)
        except DocumentNotFound:  # it went meanwhile
            continue
        entries += [checkpoint_entry(checkpoint) for checkpoint in checkpoints[:_KEPT]]
        own = await manager.audit.events(f"document:{document.document_id}", limit=_KEPT)
        entries += [event_entry(event) for event in own if event.session_id in (None, session.session_id)]
    entries.sort(key=_place, reverse=True)
    return entries, spans_of(session, events), is_cut


def event_entry(event: AuditEvent) -> dict[str, Any]:
    data = dict(event.data)
    told = ", ".join(f"{name} {value}" for name, value in data.items() if isinstance(value, str | int) and value != "")
    return {
        "id": f"a:{event.stream}:{event.position}",
        "at": iso(event.at),
        "type": "connection" if event.type in _CONNECTION else "audit",
        "name": event.type,
        "text": told[:300],
        "document_id": event.document_id,
        "data": data,
        "by": data.get("by"),
        "reason": data.get("reason"),
    }


def checkpoint_entry(checkpoint: Checkpoint) -> dict[str, Any]:
    return {
        "id": f"c:{checkpoint.checkpoint_id}",
        "at": iso(checkpoint.created_at),
        "type": "checkpoint",
        "name": str(checkpoint.kind),
        "text": checkpoint.label,
        "document_id": checkpoint.document_id,
        "data": {"checkpoint_id": checkpoint.checkpoint_id, "version": checkpoint.version, "step": checkpoint.step},
        "by": None,
        "reason": None,
    }


def spans_of(session: Session, events: Sequence[AuditEvent]) -> list[dict[str, Any]]:
    """When it was connected and when it was away, from the transitions that were audited. The first connection itself is no transition: the first span
    begins with the session where it ever was connected at all."""
    turns = sorted((event.at, event.type) for event in events if event.type in {_AWAY, _BACK})
    if not turns:
        return []
    end = session.ended_at
    first = "connected" if turns[0][1] == _AWAY else "away"
    spans = [_span(session.created_at, turns[0][0], first)]
    for (at, kind), (until, _) in pairwise(turns):
        spans.append(_span(at, until, "away" if kind == _AWAY else "connected"))
    at, kind = turns[-1]
    is_gone = kind == _AWAY or is_away(session.disconnected_at, session.reconnected_at)
    spans.append(_span(at, end, "away" if is_gone else "connected"))
    return spans


def _span(start: datetime, end: datetime | None, state: str) -> dict[str, Any]:
    return {"from": iso(start), "to": None if end is None else iso(end), "state": state}


def _place(entry: dict[str, Any]) -> tuple[str, str]:
    return entry["at"], entry["id"]


def _cursor(text: str | None) -> tuple[str, str] | None:
    if text is None:
        return None
    at, _, entry_id = text.partition(" ")
    if not entry_id or len(at) != 24:
        raise InvalidValue("/before", "is what an earlier page gave")
    return at, entry_id
