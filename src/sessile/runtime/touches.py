"""Activity seen, gathered and written together: a touch costs no transaction of its own, and one that is not due costs nothing."""

from __future__ import annotations

import logging
from typing import Final

from msgspec.structs import replace

from sessile.engine.sessions import SessionEngine
from sessile.model.errors import StoreUnavailable
from sessile.model.session import Session

logger = logging.getLogger("sessile.touches")
WAITING_MAX: Final = 50_000


class Touches:
    def __init__(self, engine: SessionEngine) -> None:
        self._engine = engine
        self._waiting: dict[str, Session] = {}

    def add(self, session: Session) -> None:
        """Remembers that this session's user was active now. During a long outage the oldest are forgotten: they lose a few minutes of idle time."""
        touched = self._engine.touched(session)
        if touched is None:
            return
        known = self._waiting.get(session.session_id)
        if known is not None and known.token_hash == touched.token_hash:
            touched = replace(touched, token_seen_at=known.token_seen_at)
        elif len(self._waiting) >= WAITING_MAX:
            self._waiting.pop(next(iter(self._waiting)))
        self._waiting[session.session_id] = touched

    async def write(self) -> None:
        """Writes what is waiting. Raises StoreUnavailable; then it is still waiting."""
        batch = self._waiting
        if not batch:
            return
        self._waiting = {}
        try:
            await self._engine.touch(list(batch.values()))
        except StoreUnavailable:
            self._waiting = {**batch, **self._waiting}
            raise
