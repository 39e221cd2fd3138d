"""Close codes of protocol/codes.json after which nobody tries again, as errors; and the HTTP statuses of a refused handshake."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from sessile.client.errors import ConnectionRefused
from sessile.model.errors import OriginRefused, SessileError, SessionEnded, SessionExpired, SessionNotFound


class FinalCode(IntEnum):
    """4500 to 4999: do not reconnect."""

    PROTOCOL_ERROR = 4500
    SESSION_ENDED = 4501
    SESSION_EXPIRED = 4502
    WRONG_USER = 4503
    UNAUTHENTICATED = 4504


UNAUTHORIZED = 401
FORBIDDEN = 403
REFUSED_STATUSES = frozenset({UNAUTHORIZED, FORBIDDEN})
LOGIN_NEEDED = frozenset({UNAUTHORIZED, FinalCode.SESSION_ENDED, FinalCode.SESSION_EXPIRED, FinalCode.UNAUTHENTICATED})
"""Somebody has to log in again."""


def is_final(code: int) -> bool:
    return 4500 <= code < 5000


@dataclass(frozen=True, slots=True)
class Ended:
    """What a server says of a session before it closes for good: the frame `session_ended`."""

    reason: str
    clock: str | None


def failure_of(code: int, session: Mapping[str, Any] | None, ended: Ended | None) -> SessileError:
    """The error for a code. `session` and `ended` are what was last heard of the session."""
    if code in (FinalCode.UNAUTHENTICATED, UNAUTHORIZED):
        return SessionNotFound()
    if code == FinalCode.SESSION_EXPIRED:
        return SessionExpired(ended.clock if ended is not None and ended.clock is not None else _clock_of(session))
    if code == FinalCode.SESSION_ENDED:
        return SessionEnded(ended.reason if ended is not None else "unknown")
    if code == FORBIDDEN:
        return OriginRefused()
    if code == FinalCode.WRONG_USER:
        return ConnectionRefused(code, "The outbox belongs to another user than the token. Use one file for each user.")
    return ConnectionRefused(code, f"The server closed the connection with {code}: it does not understand this client.")


def _clock_of(session: Mapping[str, Any] | None) -> str:
    """The one that must have run out, where the server did not say."""
    if session is None:
        return "idle"
    return "absolute" if session["absolute_expires_at"] <= session["idle_expires_at"] else "idle"
