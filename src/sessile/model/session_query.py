"""What operators type to find sessions and devices: `user:ada state:online,offline age:>5m`. Terms are separated by blanks, and all of them hold."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from sessile.model.errors import InvalidValue
from sessile.model.presence import PresenceLease
from sessile.model.session import Session

QUERY_LENGTH_MAX: Final = 500
_TERM: Final = re.compile(r'(?:(?P<name>[a-z]+):)?(?:"(?P<quoted>[^"]*)"|(?P<plain>[^\s"]+))(?:\s+|$)')
_SPAN: Final = re.compile(r"([<>])(\d{1,9})([smhd])")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_YEARS: Final = 10 * 365 * 86400
_HANDLE: Final = re.compile(r"[0-9a-f]{8}[0-9a-f-]{0,28}", re.ASCII)


class SessionState(StrEnum):
    """How a session is. The first four are the live ones."""

    ONLINE = "online"
    """A device of it is connected, on whichever process."""
    DEGRADED = "degraded"
    """Connected, and a device has not been given what it should have been."""
    OFFLINE = "offline"
    """It was connected and is not any more."""
    QUIET = "quiet"
    """It never had a connection: plain HTTP."""
    EXPIRED = "expired"
    """Past a deadline, and not swept yet. Nobody gets in with it."""
    ENDED = "ended"


LIVE: Final = frozenset({SessionState.ONLINE, SessionState.DEGRADED, SessionState.OFFLINE, SessionState.QUIET})
NOBODY: Final = "none"
"""As a value of `user:` and `platform:` it stands for sessions without one."""


def state_of(session: Session, leases: Sequence[PresenceLease], now: datetime) -> SessionState:
    """How a session is, with all of its leases that have not lapsed."""
    if session.ended_at is not None:
        return SessionState.ENDED
    if now >= session.expires_at:
        return SessionState.EXPIRED
    if any(not lease.document_id for lease in leases):
        is_behind = any(lease.document_id and not lease.is_following for lease in leases)
        return SessionState.DEGRADED if is_behind else SessionState.ONLINE
    return SessionState.QUIET if session.disconnected_at is None else SessionState.OFFLINE


@dataclass(frozen=True, slots=True, kw_only=True)
class Texts:
    """A text that is given whole, or by its beginning."""

    text: str
    is_beginning: bool = False

    def fits(self, value: str | None) -> bool:
        return value is not None and (value.startswith(self.text) if self.is_beginning else value == self.text)


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionQuery:
    """Which sessions are meant. None, and an empty text: any. `states` is never empty."""

    states: frozenset[SessionState] = LIVE
    user: Texts | None = None
    is_anonymous: bool | None = None
    platform_id: str | None = None
    has_platform: bool | None = None
    handle: str | None = None
    """The beginning of one."""
    device: str = ""
    """A part of a device's label, in small letters."""
    node_id: str | None = None
    created_before: datetime | None = None
    created_after: datetime | None = None
    seen_before: datetime | None = None
    seen_after: datetime | None = None


def parse_session_query(text: str, now: datetime) -> tuple[SessionQuery, list[tuple[str, str]]]:
    """The query and its terms as (qualifier, value). Raises InvalidValue with the path `/q` that says what is not understood."""
    terms = _terms(text, [name for name in _TAKE if name])
    query = SessionQuery()
    for name, value in terms:
        query = _TAKE[name](query, value, now)
    return query, terms


def parse_device_query(text: str) -> Mapping[str, str]:
    """`node`, `device` (a part of the label), `session`; a bare word is a part of the label. Raises InvalidValue with the path `/q`."""
    terms = _terms(text, ("node", "device", "session"))
    return {name or "device": value.lower() if name in {"", "device"} else value for name, value in terms}


def _terms(text: str, qualifiers: Sequence[str]) -> list[tuple[str, str]]:
    if len(text) > QUERY_LENGTH_MAX or not text.isprintable():
        raise _wrong(f"is a text of at most {QUERY_LENGTH_MAX} printable characters")
    rest, terms = text.strip(), list[tuple[str, str]]()
    while rest:
        match = _TERM.match(rest)
        if match is None:
            raise _wrong("has a quotation mark without its other half")
        name, value = match["name"] or "", match["quoted"] if match["quoted"] is not None else match["plain"]
        if name and name not in qualifiers:
            raise _wrong(f"{name}: is no qualifier; there are {', '.join(f'{one}:' for one in qualifiers)}")
        if not value or (match["quoted"] is None and not name and value.endswith(":")):
            raise _wrong(f"{name or value.removesuffix(':')}: needs a value")
        terms.append((name, value))
        rest = rest[match.end() :]
    return terms


def _wrong(problem: str) -> InvalidValue:
    return InvalidValue("/q", problem)


def _user(query: SessionQuery, value: str, _now: datetime) -> SessionQuery:
    if value == NOBODY:
        return replace(query, is_anonymous=True)
    return replace(query, user=Texts(text=value.removesuffix("*"), is_beginning=value.endswith("*")))


def _state(query: SessionQuery, value: str, _now: datetime) -> SessionQuery:
    states = set[SessionState]()
    for one in value.split(","):
        if one == "live":
            states |= LIVE
        elif one in set(SessionState):
            states.add(SessionState(one))
        else:
            raise _wrong(f"state:{one} is not known; there are live, {', '.join(SessionState)}")
    return replace(query, states=frozenset(states))


def _platform(query: SessionQuery, value: str, _now: datetime) -> SessionQuery:
    return replace(query, has_platform=False) if value == NOBODY else replace(query, platform_id=value)


def _device(query: SessionQuery, value: str, _now: datetime) -> SessionQuery:
    return replace(query, device=value.lower())


def _node(query: SessionQuery, value: str, _now: datetime) -> SessionQuery:
    return replace(query, node_id=value)


def _age(query: SessionQuery, value: str, now: datetime) -> SessionQuery:
    sign, moment = _moment("age", value, now)
    return replace(query, created_before=moment) if sign == ">" else replace(query, created_after=moment)


def _idle(query: SessionQuery, value: str, now: datetime) -> SessionQuery:
    sign, moment = _moment("idle", value, now)
    return replace(query, seen_before=moment) if sign == ">" else replace(query, seen_after=moment)


def _id(query: SessionQuery, value: str, _now: datetime) -> SessionQuery:
    if _HANDLE.fullmatch(value) is None:
        raise _wrong("id: is a session's handle, or at least its first eight characters")
    return replace(query, handle=value)


def _word(query: SessionQuery, value: str, now: datetime) -> SessionQuery:
    """The beginning of a handle where it looks like one, else a user."""
    return _id(query, value, now) if _HANDLE.fullmatch(value) else _user(query, value, now)


def _moment(name: str, value: str, now: datetime) -> tuple[str, datetime]:
    match = _SPAN.fullmatch(value)
    seconds = 0 if match is None else int(match[2]) * _SECONDS[match[3]]
    if match is None or seconds > _YEARS:
        raise _wrong(f"{name}:{value} is not understood; write {name}:>5m or {name}:<2h, with s, m, h or d")
    return match[1], now - timedelta(seconds=seconds)


_TAKE: Final[dict[str, Callable[[SessionQuery, str, datetime], SessionQuery]]] = {
    "": _word,
    "user": _user,
    "state": _state,
    "platform": _platform,
    "device": _device,
    "node": _node,
    "age": _age,
    "idle": _idle,
    "id": _id,
}
