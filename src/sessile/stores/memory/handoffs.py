"""Hand-off rows in memory."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sessile.model.errors import VersionConflict
from sessile.model.handoff import Handoff
from sessile.stores.memory.table import Table


class MemoryHandoffRows:
    def __init__(self, handoffs: Table[str, Handoff]) -> None:
        self._handoffs = handoffs
        self.tables: tuple[Table[Any, Any], ...] = (handoffs,)

    def get(self, handoff_id: str, *, lock: bool = False) -> Handoff | None:
        return self._handoffs.get(handoff_id)

    def by_code(self, code_hash: bytes, *, lock: bool = False) -> Handoff | None:
        return next((h for h in self._handoffs.rows() if code_hash in (h.code_hash, h.secret_hash)), None)

    def of_session(self, session_id: str, *, lock: bool = False) -> list[Handoff]:
        found = [handoff for handoff in self._handoffs.rows() if handoff.session_id == session_id]
        return sorted(found, key=lambda handoff: (handoff.created_at, handoff.handoff_id))

    def put(self, handoff: Handoff) -> None:
        for code_hash in (handoff.code_hash, handoff.secret_hash):
            other = self.by_code(code_hash)
            if other is not None and other.handoff_id != handoff.handoff_id:
                raise VersionConflict({}, "There is another hand-off with this code.")
        self._handoffs.put(handoff.handoff_id, handoff)

    def delete_expired(self, before: datetime, limit: int) -> int:
        over = sorted((h for h in self._handoffs.rows() if h.expires_at < before), key=lambda h: h.handoff_id)[:limit]
        for handoff in over:
            self._handoffs.delete(handoff.handoff_id)
        return len(over)

    def delete_of_user(self, user_id: str, limit: int) -> int:
        theirs = [handoff.handoff_id for handoff in self._handoffs.rows() if handoff.user_id == user_id]
        for handoff_id in sorted(theirs)[:limit]:
            self._handoffs.delete(handoff_id)
        return len(theirs[:limit])
