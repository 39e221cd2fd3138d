"""What operators look at and do beyond what applications do: any session, any document, the fence; and the note that each act leaves."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from msgspec.structs import replace

from sessile.engine.ownership import rolled_forward
from sessile.model.audit import AuditEvent
from sessile.model.census import Census
from sessile.model.document import Document, Owner
from sessile.model.errors import DocumentNotFound, InvalidValue, SessionNotFound
from sessile.model.fence import CacheUnavailable, Fence, Miss
from sessile.model.limits import LABEL_LENGTH_MAX, NAME_LENGTH_MAX
from sessile.model.presence import PresenceLease
from sessile.model.session import Session
from sessile.model.session_format import UnknownForm, unpack_session
from sessile.ports import Cache, Clock, Random, Store, Transaction

ACTED: Final = "operator_acted"
ACTIVE_WITHIN: Final = timedelta(minutes=5)
_NONCE_BYTES: Final = 6
Copy = Literal["none", "same", "behind", "busy", "differs", "unused"]
"""What the cache has of a session, held against its row. `behind`: only activity was seen since."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """What an operator is about to do, to what, why, and who it is. `subject` is the audit stream that is told: `session:<id>`, `document:<id>`,
    `user:<id>` or `system`."""

    subject: str
    action: str
    reason: str
    by: str


class OperatorEngine:
    """Raises SessionNotFound, DocumentNotFound, InvalidValue, StoreUnavailable."""

    def __init__(self, store: Store, clock: Clock, random: Random, cache: Cache | None = None) -> None:
        self._store = store
        self._clock = clock
        self._random = random
        self._cache = cache

    async def note(self, act: Act, data: dict[str, Any]) -> None:
        """Commits an audit event that the act is begun, before it is: so none is without one. Raises InvalidValue for texts that cannot be kept."""
        for name, text, longest in (("reason", act.reason, LABEL_LENGTH_MAX), ("by", act.by, NAME_LENGTH_MAX)):
            if len(text) > longest or not text.isprintable():
                raise InvalidValue(f"/{name}", f"is a text of at most {longest} printable characters")
        await self._store.write(self._note, act, data)

    async def session(self, session_id: str) -> Session:
        """The session with this handle, also one that is over."""
        session = await self._store.read(_session, session_id)
        if session is None:
            raise SessionNotFound
        return session

    async def sessions(self, after: str, limit: int) -> list[Session]:
        """Live ones of everybody, anonymous ones too, in the order of their handles (that of their beginnings), behind `after`."""
        return await self._store.read(_sessions, self._clock.now(), after, limit)

    async def census(self, busiest: int) -> Census:
        """How many are here."""
        return await self._store.read(_census, self._clock.now(), busiest)

    async def devices(self, session_id: str) -> list[PresenceLease]:
        """Where the session is connected now."""
        return await self._store.read(_devices, session_id, self._clock.now())

    async def document(self, document_id: str) -> Document:
        """Anybody's, archived ones too."""
        document = await self._store.read(_document, document_id)
        if document is None:
            raise DocumentNotFound
        return document

    async def documents(self, owner: Owner) -> list[Document]:
        """All of an owner, latest activity first."""
        return await self._store.read(_documents, owner)

    async def fence(self) -> Fence:
        """Which entries of the cache are believed."""
        return await self._store.read(_fence)

    async def raise_fence(self, held_s: float = 0.0) -> Fence:
        """Begins the next epoch: nothing that the cache holds now is believed any more, by nobody, after one fence period. With `held_s` it stays unused
        that long."""
        return await self._store.write(_raise, self._random.token_bytes(_NONCE_BYTES).hex(), held_s)

    async def cache_state(self) -> str:
        """Which server answers as the cache, or why none does."""
        if self._cache is None:
            return "not configured"
        try:
            return f"up ({await self._cache.server()})"
        except CacheUnavailable as error:
            return f"down ({error})"

    async def cached_copy(self, session_id: str) -> Copy:
        """The cache's copy of a session held against its row."""
        place = (await self._store.read(_fence)).place
        if self._cache is None or place is None:
            return "unused"
        before = await self._store.read(_session, session_id)
        try:
            found = await self._cache.get(place, session_id)
            copy = unpack_session(found) if isinstance(found, bytes) and found else None
        except CacheUnavailable:
            return "unused"
        except UnknownForm:
            return "differs"
        if found is Miss.ABSENT:
            return "none"
        if found is Miss.BUSY or await self._store.read(_session, session_id) != before:
            return "busy"
        if copy == before:
            return "same"
        return "behind" if copy is not None and before is not None and _unseen(copy) == _unseen(before) else "differs"

    def _note(self, tx: Transaction, act: Act, data: dict[str, Any]) -> None:
        kind, _, key = act.subject.partition(":")
        tx.audit(
            [
                AuditEvent(
                    stream=act.subject,
                    type=ACTED,
                    at=self._clock.now(),
                    user_id=key if kind == "user" else None,
                    session_id=key if kind == "session" else None,
                    document_id=key if kind == "document" else None,
                    data={"action": act.action, "reason": act.reason, "by": act.by, **data},
                )
            ]
        )


def _unseen(session: Session) -> Session:
    """Without what activity moves."""
    at = session.created_at
    return replace(session, last_seen_at=at, idle_expires_at=at, token_seen_at=None)


def _session(tx: Transaction, session_id: str) -> Session | None:
    return tx.sessions.get(session_id) if session_id.isprintable() else None


def _sessions(tx: Transaction, now: datetime, after: str, limit: int) -> list[Session]:
    return tx.sessions.live(now, after=after, limit=limit)


def _census(tx: Transaction, now: datetime, busiest: int) -> Census:
    return tx.sessions.census(now, now - ACTIVE_WITHIN, busiest)


def _devices(tx: Transaction, session_id: str, now: datetime) -> list[PresenceLease]:
    return tx.presence.of_sessions([session_id], now)


def _document(tx: Transaction, document_id: str) -> Document | None:
    document = tx.documents.get(document_id) if document_id.isprintable() else None
    return None if document is None else rolled_forward(tx, document)


def _documents(tx: Transaction, owner: Owner) -> list[Document]:
    return tx.documents.of_owner(owner, status=None)


def _fence(tx: Transaction) -> Fence:
    return tx.fence.look()


def _raise(tx: Transaction, nonce: str, held_s: float) -> Fence:
    return tx.fence.raise_(nonce, held_s=held_s)
