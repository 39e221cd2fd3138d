"""Verbs of the asyncio facade that come in groups: hand-off, audit, maintenance. Each can raise StoreUnavailable."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sessile.engine.audit import AuditEngine, AuditReport
from sessile.engine.handoff import HandoffEngine
from sessile.engine.maintenance import MaintenanceEngine
from sessile.model.audit import AuditEvent
from sessile.model.handoff import Handoff, Offered, Redeemed
from sessile.model.maintenance import Maintenance
from sessile.model.session import Issued


class AsyncHandoffs:
    """One device shows a code, another one types or scans it, the first one agrees, the other one is logged in."""

    def __init__(self, engine: HandoffEngine) -> None:
        self._engine = engine

    async def offer(self, session_id: str, *, path: str = "") -> Offered:
        """A code for another device, good once and for two minutes; an earlier one of this session is not good any more. `path` is where the
        other device goes on. Raises AuthenticationRequired for an anonymous session, InvalidValue, and like `get_session`."""
        return await self._engine.offer(session_id, path)

    async def status(self, session_id: str, handoff_id: str) -> Handoff:
        """For the session that offered it. Raises HandoffRefused for an unknown one, and for a code that nobody used in time."""
        return await self._engine.status(session_id, handoff_id)

    async def redeem(self, code: str, *, device: Mapping[str, Any] | None = None, address: str = "") -> Redeemed:
        """Shows whose account it is, and asks the first device, which sees `device`. Raises HandoffRefused; TooManyTries after five wrong codes
        from one `address`."""
        return await self._engine.redeem(code, device, address)

    async def confirm(self, session_id: str, handoff_id: str, *, accept: bool) -> Handoff:
        """The first device's answer. Raises HandoffRefused when nobody asked, or too late."""
        return await self._engine.confirm(session_id, handoff_id, accept=accept)

    async def complete(
        self, handoff_id: str, claim: str, *, session_id: str | None = None
    ) -> tuple[Handoff, Issued | None]:
        """The asking device comes for its session: None until the first one has agreed. An anonymous `session_id` becomes the user's. The session
        is not fresh, and ends when the first device's does at the latest. Raises HandoffRefused, SessionCreationError."""
        return await self._engine.complete(handoff_id, claim, session_id)


class AsyncAudit:
    """What happened, in chains of hashes: `session:<id>`, `document:<id>`, `user:<id>`, `system`."""

    def __init__(self, engine: AuditEngine) -> None:
        self._engine = engine

    async def events(self, stream: str, *, before: int | None = None, limit: int = 100) -> list[AuditEvent]:
        """Of one stream, newest first, below position `before` where given."""
        return await self._engine.events(stream, before, limit)

    async def verify(self, stream: str | None = None) -> AuditReport:
        """Looks whether one chain, or each of them, is as it was written; the report names every place where it is not."""
        return await self._engine.verify(stream)


class AsyncMaintenanceMode:
    """Nobody new is let in but who is spared; people with a session go on working, unless theirs are ended, too."""

    def __init__(self, engine: MaintenanceEngine) -> None:
        self._engine = engine

    async def get(self) -> Maintenance | None:
        """What is in force now."""
        return await self._engine.get()

    async def begin(
        self,
        message: str = "",
        *,
        until: datetime | None = None,
        roles_spared: Sequence[str] = (),
        end_sessions: bool = False,
    ) -> int:
        """Begins, or changes what is told. With `end_sessions` the sessions of users without one of the roles end, batch by batch; how many did.
        Raises InvalidValue."""
        await self._engine.begin(message, until, roles_spared)
        ended, after = 0, "" if end_sessions else None
        while after is not None:
            batch, after = await self._engine.end_sessions(after)
            ended += batch
        return ended

    async def end(self) -> bool:
        """Everybody may come in again. False when no maintenance was in force."""
        return await self._engine.end()
