"""Audit events and their hash chain: one chain per stream, so that a missing, changed or reordered row shows."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sessile.model.canonical import canonical


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEvent:
    """Something that happened, written in the same transaction. `stream` is `session:<id>`, `document:<id>`, `user:<id>` or `system`."""

    stream: str
    type: str
    at: datetime
    user_id: str | None = None
    session_id: str | None = None
    document_id: str | None = None
    data: Mapping[str, Any] = field(default_factory=dict)
    position: int = 0
    previous_hash: bytes = b""
    hash: bytes = b""


def chained_hash(event: AuditEvent, position: int, previous_hash: bytes) -> bytes:
    """SHA-256 over the previous hash and the event's canonical form."""
    content = canonical(
        {
            "stream": event.stream,
            "position": position,
            "type": event.type,
            "at": event.at.isoformat(),
            "user_id": event.user_id,
            "session_id": event.session_id,
            "document_id": event.document_id,
            "data": dict(event.data),
        }
    )
    return hashlib.sha256(previous_hash + content).digest()
