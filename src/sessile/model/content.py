"""The kinds of records that have content of people's: what encryption seals, and a re-encryption goes through."""

from __future__ import annotations

from enum import StrEnum
from typing import Any


class ContentKind(StrEnum):
    SESSION = "session"
    PRINCIPAL = "principal"
    DOCUMENT = "document"
    LOG_BASE = "log_base"
    CHANGE = "change"
    CONFLICT = "conflict"
    CHECKPOINT = "checkpoint"


def key_of(kind: ContentKind, record: Any) -> tuple[str, ...]:
    """Where a record stands among those of its kind. A number is written so that texts are ordered like it."""
    match kind:
        case ContentKind.SESSION:
            return (record.session_id,)
        case ContentKind.PRINCIPAL:
            return (record.user_id,)
        case ContentKind.CHANGE:
            return (record.document_id, f"{record.version:020d}")
        case ContentKind.CONFLICT:
            return (record.conflict_id,)
        case ContentKind.CHECKPOINT:
            return (record.checkpoint_id,)
        case ContentKind.DOCUMENT | ContentKind.LOG_BASE:
            return (record.document_id,)
