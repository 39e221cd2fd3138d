"""Credentials that another session library gave out, while people are moved over: which libraries, and what is kept of a credential.

A legacy credential is kept as its SHA-256 only. It has 128 bits or more from the other library's generator, or it is signed, so there is
nothing to guess from the hash.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final

LEGACY_COOKIE_BYTES_MAX: Final = 4096
"""RFC 6265bis section 5.6: browsers keep no longer ones."""
ARRIVALS_PER_BATCH_MAX: Final = 1000


class LegacyKind(StrEnum):
    """Whose cookies they are. The first four hold an id of a session on a server; the last three are the session itself, signed."""

    FLASK_SESSION = "flask-session"
    DJANGO = "django"
    STARSESSIONS = "starsessions"
    LITESTAR = "litestar"
    FLASK_COOKIE = "flask-cookie"
    STARLETTE_COOKIE = "starlette-cookie"
    DJANGO_COOKIE = "django-cookie"

    @property
    def is_signed(self) -> bool:
        """Whether the cookie holds the session itself, so that nothing can be listed and it is read when it arrives."""
        return self in _SIGNED


_SIGNED: Final = frozenset({LegacyKind.FLASK_COOKIE, LegacyKind.STARLETTE_COOKIE, LegacyKind.DJANGO_COOKIE})
_SHAPES: Final = {
    # secrets.token_urlsafe of at least 16 bytes; versions before 0.6 made UUIDs, which have this shape, too.
    LegacyKind.FLASK_SESSION: re.compile(r"[A-Za-z0-9_-]{22,128}", re.ASCII),
    LegacyKind.DJANGO: re.compile(r"[a-z0-9]{32,40}", re.ASCII),  # 40: the column's width
    LegacyKind.STARSESSIONS: re.compile(r"[0-9a-f]{32}", re.ASCII),
    LegacyKind.LITESTAR: re.compile(r"[0-9a-f]{32,128}", re.ASCII),
}


def has_own_shape(kind: LegacyKind, text: str) -> bool:
    """Whether the library itself makes ids like this one. What somebody else chose is not taken over (CWE-384, session fixation)."""
    return kind in _SHAPES and _SHAPES[kind].fullmatch(text) is not None


def hash_legacy(text: str) -> bytes:
    """What is kept of a legacy id, or of the signed part of a cookie."""
    return hashlib.sha256(text.encode()).digest()


def token_hash_of(legacy_hash: bytes) -> bytes:
    """What stands as the hash of the token of a session that only a legacy credential leads to. No token of ours hashes to it: a legacy id behind
    a handle must not be one."""
    return hashlib.sha256(b"sessile legacy credential\0" + legacy_hash).digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class LegacyToken:
    """A legacy credential that was taken over."""

    hash: bytes = field(repr=False)
    session_id: str
    source: LegacyKind
    run_id: str | None
    """The import that brought it; None: it was read when it arrived."""
    expires_at: datetime
    """From here on it is accepted no more."""
    kept_until: datetime
    """Until then the row stands, so that a later import does not bring the session a second time."""
    used_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """A session of another library, read and checked."""

    hash: bytes = field(repr=False)
    user_id: str | None
    data: bytes = field(default=b"{}", repr=False)
    """Encoded by `sessile.model.values`."""
    expires_at: datetime | None = None
    """When it would have ended there; None: never."""
    signed_at: datetime | None = None
    """When the cookie was signed that is the session itself."""


class ImportOutcome(StrEnum):
    IMPORTED = "imported"
    KNOWN = "known"
    """An earlier import, or an arrival, brought it."""
    EXPIRED = "expired"
    DISABLED = "disabled"
    """The user may not log in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportRun:
    """What is left of an import: its sessions, how many were used since, and until when their old cookies are accepted."""

    run_id: str
    source: LegacyKind
    sessions: int
    used: int
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Undone:
    """A batch of an undoing. `after` is where the next one begins; None: that was all."""

    ended: int
    kept: int
    """In use since, so they stay."""
    after: bytes | None = field(default=None, repr=False)
