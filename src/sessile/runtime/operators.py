"""What operators look at and do, in both lanes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sessile.engine.operators import Act, Copy, OperatorEngine
from sessile.model.census import Census
from sessile.model.document import Document, Owner
from sessile.model.fence import Fence
from sessile.model.presence import PresenceLease
from sessile.model.session import Session
from sessile.runtime.lane import drive


class AsyncOperators:
    """Any session and any document, whoever asks: for tools of operators, never for pages. Each act is noted before it happens."""

    def __init__(self, engine: OperatorEngine) -> None:
        self._engine = engine

    async def note(self, act: Act, data: Mapping[str, Any] | None = None) -> None:
        """Writes an audit event that somebody is about to do this. Raises InvalidValue."""
        await self._engine.note(act, dict(data or {}))

    async def session(self, session_id: str) -> Session:
        """The session with this handle, also one that is over. Raises SessionNotFound."""
        return await self._engine.session(session_id)

    async def sessions(self, *, after: str = "", limit: int = 100) -> Sequence[Session]:
        """A page of all live sessions in the order of their beginnings, behind the handle `after`."""
        return await self._engine.sessions(after, limit)

    async def census(self, *, busiest: int = 10) -> Census:
        """How many are here, and which users have the most sessions."""
        return await self._engine.census(busiest)

    async def devices(self, session_id: str) -> Sequence[PresenceLease]:
        """Where the session is connected now."""
        return await self._engine.devices(session_id)

    async def document(self, document_id: str) -> Document:
        """Anybody's, archived ones too. Raises DocumentNotFound."""
        return await self._engine.document(document_id)

    async def documents(self, owner: Owner) -> Sequence[Document]:
        """All of an owner, latest activity first."""
        return await self._engine.documents(owner)

    async def fence(self) -> Fence:
        """Which entries of the cache are believed."""
        return await self._engine.fence()

    async def raise_fence(self, *, held_s: float = 0.0) -> Fence:
        """Nothing that the cache holds now is believed after one fence period any more; with `held_s` the cache stays unused that long."""
        return await self._engine.raise_fence(held_s)

    async def cache_state(self) -> str:
        """Which server answers as the cache, or why none does."""
        return await self._engine.cache_state()

    async def cached_copy(self, session_id: str) -> Copy:
        """The cache's copy of a session held against its row; `behind`: only activity was seen since."""
        return await self._engine.cached_copy(session_id)


class Operators:
    """The blocking twin of `AsyncOperators`."""

    def __init__(self, engine: OperatorEngine) -> None:
        self._twin = AsyncOperators(engine)

    def note(self, act: Act, data: Mapping[str, Any] | None = None) -> None:
        """Writes an audit event that somebody is about to do this. Raises InvalidValue."""
        drive(self._twin.note(act, data))

    def session(self, session_id: str) -> Session:
        """The session with this handle, also one that is over. Raises SessionNotFound."""
        return drive(self._twin.session(session_id))

    def sessions(self, *, after: str = "", limit: int = 100) -> Sequence[Session]:
        """A page of all live sessions in the order of their beginnings, behind the handle `after`."""
        return drive(self._twin.sessions(after=after, limit=limit))

    def census(self, *, busiest: int = 10) -> Census:
        """How many are here, and which users have the most sessions."""
        return drive(self._twin.census(busiest=busiest))

    def devices(self, session_id: str) -> Sequence[PresenceLease]:
        """Where the session is connected now."""
        return drive(self._twin.devices(session_id))

    def document(self, document_id: str) -> Document:
        """Anybody's, archived ones too. Raises DocumentNotFound."""
        return drive(self._twin.document(document_id))

    def documents(self, owner: Owner) -> Sequence[Document]:
        """All of an owner, latest activity first."""
        return drive(self._twin.documents(owner))

    def fence(self) -> Fence:
        """Which entries of the cache are believed."""
        return drive(self._twin.fence())

    def raise_fence(self, *, held_s: float = 0.0) -> Fence:
        """Nothing that the cache holds now is believed after one fence period any more; with `held_s` the cache stays unused that long."""
        return drive(self._twin.raise_fence(held_s=held_s))

    def cache_state(self) -> str:
        """Which server answers as the cache, or why none does."""
        return drive(self._twin.cache_state())

    def cached_copy(self, session_id: str) -> Copy:
        """The cache's copy of a session held against its row; `behind`: only activity was seen since."""
        return drive(self._twin.cached_copy(session_id))
