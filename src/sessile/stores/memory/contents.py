"""Records with content, kind by kind, in memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sessile.model.content import ContentKind, key_of
from sessile.stores.memory.documents import MemoryDocumentRows
from sessile.stores.memory.sessions import MemorySessionRows


class MemoryContentRows:
    def __init__(self, sessions: MemorySessionRows, documents: MemoryDocumentRows) -> None:
        self._sessions = sessions
        self._documents = documents

    def page(self, kind: ContentKind, after: Sequence[str], limit: int) -> list[Any]:
        found = [*self._documents.contents(kind), *self._sessions.contents(kind)]
        behind = [record for record in found if key_of(kind, record) > tuple(after)]
        return sorted(behind, key=lambda record: key_of(kind, record))[:limit]

    def replace(self, kind: ContentKind, records: Sequence[Any]) -> None:
        for record in records:
            match kind:
                case ContentKind.SESSION:
                    self._sessions.update(record)
                case ContentKind.PRINCIPAL:
                    self._sessions.put_principal(record)
                case ContentKind.DOCUMENT:
                    self._documents.update([record], with_state=[True])
                case ContentKind.LOG_BASE:
                    self._documents.put_log_base(record)
                case ContentKind.CONFLICT:
                    self._documents.put_conflicts([record])
                case ContentKind.CHECKPOINT:
                    self._documents.insert_checkpoint(record)
                case ContentKind.CHANGE:
                    self._documents.replace_change(record)
