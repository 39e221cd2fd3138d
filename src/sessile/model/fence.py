"""The fence: which entries of the cache may be believed. The protocol is in docs/explanation/cache.md; `tests/model` checks it.

An *epoch* is a period in which one cache server is trusted. It begins closed (everybody reads the truth), opens once, and is replaced, never
closed again. Keys of the cache carry its name, so an entry of another epoch is not even found.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from sessile.model.session import Session

ENTRY_TTL_S: Final = 600.0
"""How long an entry stays at most: the backstop for the one case that the fence leaves (docs/explanation/cache.md)."""


class CacheUnavailable(Exception):
    """No answer came in time, or another server answers than the one asked for. What was asked may have happened or not. Never leaves the core:
    whoever meets it reads the truth instead, or raises the fence."""


class Miss(Enum):
    """What a look at an entry finds instead of a value."""

    ABSENT = "absent"
    BUSY = "busy"
    """Somebody is about to write or to fill it; its truth is in the store."""


@dataclass(frozen=True, slots=True)
class CachePlace:
    """Where the entries of an epoch are: on one server, by its identity, under one name."""

    server: str
    epoch: str


@dataclass(frozen=True, slots=True)
class Fence:
    """The row of the fence as it was read. `held_for_s`: seconds in which nobody opens it, because somebody writes without the cache."""

    number: int
    nonce: str
    server: str | None
    is_open: bool
    held_for_s: float = 0.0
    place: CachePlace | None = field(init=False, repr=False, compare=False)
    """Where entries may be found and put; None while it is closed."""

    def __post_init__(self) -> None:
        # Each read of a session asks for it, and fences are looked at a few times a second: so it is made here.
        place = CachePlace(self.server, f"{self.number}-{self.nonce}") if self.is_open and self.server else None
        object.__setattr__(self, "place", place)


@dataclass(frozen=True, slots=True)
class Publication:
    """What a commit tells the cache of one session. `token` is the mark that was put before it, `entry` what the row is now (empty: there is none).
    Without a token nothing is put: whatever could be older than the commit is removed."""

    session_id: str
    token: bytes | None
    entry: bytes = field(default=b"", repr=False)
    ttl_s: float = 0.0


@dataclass(slots=True)
class SessionChanges:
    """What a transaction did to sessions, by handle: as each was read under its lock, and as it is now (None: removed). Filled by the rows of a
    store, read by the guard of its commits."""

    before: dict[str, Session] = field(default_factory=dict)
    after: dict[str, Session | None] = field(default_factory=dict)
    touched: set[str] = field(default_factory=set)
    """Only seen: a moment was moved in their rows."""
    is_final: bool = False
    """Somebody is shut out, or was before: the call may not return before every process knows."""

    def read(self, sessions: Iterable[Session]) -> None:
        """These were read under their locks."""
        for session in sessions:
            self.before.setdefault(session.session_id, session)

    def put(self, session: Session) -> None:
        """It was written."""
        before = self.before.get(session.session_id)
        if session.ended_at is not None or (before is not None and _is_shut_out(before, session)):
            self.is_final = True
        self.after[session.session_id] = session

    def removed(self, session_ids: Iterable[str]) -> None:
        """Their rows were deleted."""
        for session_id in session_ids:
            self.after[session_id] = None

    def confirmed(self, sessions: Iterable[Session]) -> None:
        """Found over: to be told again, as if it had been this transaction that ended them."""
        self.is_final = True
        for session in sessions:
            self.after.setdefault(session.session_id, session)


def _is_shut_out(before: Session, after: Session) -> bool:
    """Whether a token that was good for something is good for less now."""
    return before.token_hash != after.token_hash or before.user_id != after.user_id
