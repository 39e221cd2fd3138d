"""Operators of the console in both lanes: how they come in, and what they see of everybody."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

from sessile.engine.history import Point
from sessile.engine.operator_access import IssuedCredential, OperatorAccessEngine
from sessile.engine.operators import Act
from sessile.engine.oversight import (
    AuditFilter,
    AuditFound,
    EndedSessions,
    FoundDevices,
    FoundSessions,
    OversightEngine,
    SeenSession,
)
from sessile.model.document import State
from sessile.model.operator_access import OperatorCredential, OperatorEnd, Right, Role
from sessile.model.session_query import SessionState
from sessile.runtime.lane import drive


class AsyncOperatorAccess:
    """Tokens for the console's login page, and the sessions that they are exchanged for. Nothing here lets anybody in as a user."""

    def __init__(self, engine: OperatorAccessEngine) -> None:
        self._engine = engine

    async def issue_token(self, operator: str, role: Role, *, lifetime_s: float, made_by: str = "") -> IssuedCredential:
        """A token that can be exchanged once, within `lifetime_s` (at most a day). Raises InvalidValue."""
        return await self._engine.issue(operator, role, timedelta(seconds=lifetime_s), made_by)

    async def sign_in(self, token: str, *, address: str = "") -> IssuedCredential:
        """Exchanges it for a session. Raises AuthenticationRequired with the reason, TooManyTries for too many tries from one `address`."""
        return await self._engine.sign_in(token, address)

    async def authenticate(self, token: str, *, is_active: bool = True) -> OperatorCredential:
        """The operator's session that a cookie stands for; `is_active` moves its idle deadline. Raises AuthenticationRequired with the reason."""
        return await self._engine.authenticate(token, is_active=is_active)

    async def look(self, credential_id: str) -> str | None:
        """Why a session is not good any more; None while it is."""
        return await self._engine.look(credential_id)

    async def end(self, credential_id: str, end: OperatorEnd, *, by: str, reason: str = "") -> bool:
        """Ends a session, or takes a token back; False when there was nothing to end. Raises InvalidValue."""
        return await self._engine.end(credential_id, end, by, reason)

    async def credentials(self) -> Sequence[OperatorCredential]:
        """Sessions and tokens that are good."""
        return await self._engine.credentials()

    async def note_refused(self, credential: OperatorCredential, right: Right, what: str) -> None:
        """Audits that somebody asked for what their role may not do."""
        await self._engine.note_refused(credential, right, what)


class OperatorAccess:
    """The blocking twin of `AsyncOperatorAccess`."""

    def __init__(self, engine: OperatorAccessEngine) -> None:
        self._twin = AsyncOperatorAccess(engine)

    def issue_token(self, operator: str, role: Role, *, lifetime_s: float, made_by: str = "") -> IssuedCredential:
        """A token that can be exchanged once, within `lifetime_s` (at most a day). Raises InvalidValue."""
        return drive(self._twin.issue_token(operator, role, lifetime_s=lifetime_s, made_by=made_by))

    def sign_in(self, token: str, *, address: str = "") -> IssuedCredential:
        """Exchanges it for a session. Raises AuthenticationRequired with the reason, TooManyTries."""
        return drive(self._twin.sign_in(token, address=address))

    def authenticate(self, token: str, *, is_active: bool = True) -> OperatorCredential:
        """The operator's session that a cookie stands for. Raises AuthenticationRequired with the reason."""
        return drive(self._twin.authenticate(token, is_active=is_active))

    def look(self, credential_id: str) -> str | None:
        """Why a session is not good any more; None while it is."""
        return drive(self._twin.look(credential_id))

    def end(self, credential_id: str, end: OperatorEnd, *, by: str, reason: str = "") -> bool:
        """Ends a session, or takes a token back; False when there was nothing to end. Raises InvalidValue."""
        return drive(self._twin.end(credential_id, end, by=by, reason=reason))

    def credentials(self) -> Sequence[OperatorCredential]:
        """Sessions and tokens that are good."""
        return drive(self._twin.credentials())

    def note_refused(self, credential: OperatorCredential, right: Right, what: str) -> None:
        """Audits that somebody asked for what their role may not do."""
        drive(self._twin.note_refused(credential, right, what))


class AsyncOversight:
    """Everybody's sessions and devices, found and counted; for tools of operators, never for pages."""

    def __init__(self, engine: OversightEngine) -> None:
        self._engine = engine

    async def find(
        self, query: str = "", *, after: str | None = None, limit: int = 50, newest_first: bool = True
    ) -> FoundSessions:
        """A page of the sessions that a query means (`user:ada state:online age:>5m`), and how many there are in all. Raises InvalidValue."""
        return await self._engine.find(query, after=after, limit=limit, newest_first=newest_first)

    async def ids(self, query: str, *, limit: int) -> tuple[Sequence[str], int]:
        """Handles of the sessions that a query means, oldest first, and how many there are in all. Raises InvalidValue."""
        return await self._engine.ids(query, limit)

    async def see(self, session_ids: Sequence[str]) -> Sequence[SeenSession]:
        """These sessions, over or not, with how they are; unknown ones are left out."""
        return await self._engine.see(session_ids)

    async def states(self) -> Mapping[SessionState, int]:
        """How many live sessions are in each state."""
        return await self._engine.states()

    async def nodes(self) -> Sequence[tuple[str, int, int, int]]:
        """Processes with connections: node, sessions, devices, tabs."""
        return await self._engine.nodes()

    async def devices(self, query: str = "", *, after: Sequence[str] = (), limit: int = 50) -> FoundDevices:
        """A page of the devices that are connected now. Raises InvalidValue."""
        return await self._engine.devices(query, after=after, limit=limit)

    async def document_at(self, document_id: str, point: Point) -> State:
        """What was in a document at a version or checkpoint. Raises DocumentNotFound, CheckpointNotFound, VersionNotKept, InvalidChange."""
        return await self._engine.document_at(document_id, point)

    async def end_sessions(self, session_ids: Sequence[str], act: Act) -> EndedSessions:
        """Ends these sessions, each with the audit event of who did it and why in the same transaction. When this has returned nobody gets in with their
        tokens. Raises InvalidValue."""
        return await self._engine.end_sessions(session_ids, act)

    async def resync(self, session_id: str, document_ids: Sequence[str], act: Act) -> None:
        """Every socket of the session looks again at its session and these documents. Raises InvalidValue."""
        await self._engine.resync(session_id, document_ids, act)

    async def audit(self, meant: AuditFilter, *, before: str | None = None, limit: int = 50) -> AuditFound:
        """A page of the audit events that are meant, newest first. Raises InvalidValue."""
        return await self._engine.audit(meant, before, limit)


class Oversight:
    """The blocking twin of `AsyncOversight`."""

    def __init__(self, engine: OversightEngine) -> None:
        self._twin = AsyncOversight(engine)

    def find(
        self, query: str = "", *, after: str | None = None, limit: int = 50, newest_first: bool = True
    ) -> FoundSessions:
        """A page of the sessions that a query means, and how many there are in all. Raises InvalidValue."""
        return drive(self._twin.find(query, after=after, limit=limit, newest_first=newest_first))

    def ids(self, query: str, *, limit: int) -> tuple[Sequence[str], int]:
        """Handles of the sessions that a query means, oldest first, and how many there are in all. Raises InvalidValue."""
        return drive(self._twin.ids(query, limit=limit))

    def see(self, session_ids: Sequence[str]) -> Sequence[SeenSession]:
        """These sessions, over or not, with how they are; unknown ones are left out."""
        return drive(self._twin.see(session_ids))

    def states(self) -> Mapping[SessionState, int]:
        """How many live sessions are in each state."""
        return drive(self._twin.states())

    def nodes(self) -> Sequence[tuple[str, int, int, int]]:
        """Processes with connections: node, sessions, devices, tabs."""
        return drive(self._twin.nodes())

    def devices(self, query: str = "", *, after: Sequence[str] = (), limit: int = 50) -> FoundDevices:
        """A page of the devices that are connected now. Raises InvalidValue."""
        return drive(self._twin.devices(query, after=after, limit=limit))

    def document_at(self, document_id: str, point: Point) -> State:
        """What was in a document at a version or checkpoint. Raises DocumentNotFound, CheckpointNotFound, VersionNotKept, InvalidChange."""
        return drive(self._twin.document_at(document_id, point))

    def end_sessions(self, session_ids: Sequence[str], act: Act) -> EndedSessions:
        """Ends these sessions, each with the audit event of who did it and why in the same transaction. Raises InvalidValue."""
        return drive(self._twin.end_sessions(session_ids, act))

    def resync(self, session_id: str, document_ids: Sequence[str], act: Act) -> None:
        """Every socket of the session looks again at its session and these documents. Raises InvalidValue."""
        drive(self._twin.resync(session_id, document_ids, act))

    def audit(self, meant: AuditFilter, *, before: str | None = None, limit: int = 50) -> AuditFound:
        """A page of the audit events that are meant, newest first. Raises InvalidValue."""
        return drive(self._twin.audit(meant, before=before, limit=limit))
