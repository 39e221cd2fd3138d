"""What a store keeps of hand-offs; the promises of `sessile.ports` hold here, too."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from sessile.model.handoff import Handoff


class HandoffRows(Protocol):
    def get(self, handoff_id: str, *, lock: bool = False) -> Handoff | None: ...

    def by_code(self, code_hash: bytes, *, lock: bool = False) -> Handoff | None:
        """The one whose code, or whose longer secret, has this hash."""
        ...

    def of_session(self, session_id: str, *, lock: bool = False) -> list[Handoff]:
        """Those that a session offered, oldest first."""
        ...

    def put(self, handoff: Handoff) -> None:
        """Inserts, or replaces the one of the same id. Raises VersionConflict when another one has its code."""
        ...

    def delete_expired(self, before: datetime, limit: int) -> int:
        """Removes those that expired before it, at most `limit`; how many."""
        ...

    def delete_of_user(self, user_id: str, limit: int) -> int:
        """Removes those that a user's sessions offered, at most `limit`; how many."""
        ...
