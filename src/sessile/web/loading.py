"""From a request's credential to its session, or to the reason why there is none. The same for ASGI and WSGI."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import ClassVar, Final

from sessile.engine.binding import BindingSeen
from sessile.model import token as tokens
from sessile.model.errors import (
    PlatformRefused,
    SessileError,
    SessionEnded,
    SessionExpired,
    SessionNotFound,
    StoreUnavailable,
)
from sessile.model.platform import Platform
from sessile.model.record import Record
from sessile.model.session import Session
from sessile.runtime.manager import AsyncSessionManager
from sessile.web import fingerprint
from sessile.web.asgi import Scope, bearer_token, scheme_of
from sessile.web.binding import REASON, seen_from
from sessile.web.cookies import NO_COOKIE, CookiePolicy
from sessile.web.guessing import note_unknown
from sessile.web.platforms import HEADER, names_platform, platform_of_request
from sessile.web.wsgi import WsgiScope


class Source(Enum):
    NONE = "none"
    COOKIE = "cookie"
    BEARER = "bearer"


_HEADERS: Final = frozenset({b"cookie", b"host", b"authorization", HEADER.encode("ascii")})


@dataclass(frozen=True, slots=True)
class Override:
    """The platform that a request names for itself, as far as `user_id` is concerned: there is one, or the reason why not."""

    user_id: str | None
    platform: Platform | None = None
    failure: SessileError | None = field(default=None, repr=False)

    @classmethod
    async def look(cls, manager: AsyncSessionManager, scope: Scope, record: Session | None) -> Override:
        """Raises nothing: who does not ask for the platform is not disturbed."""
        if not names_platform(scope["headers"]):
            return NO_OVERRIDE
        user_id = record.user_id if record is not None else None
        try:
            return cls(user_id, await platform_of_request(manager, scope["headers"], record))
        except (PlatformRefused, StoreUnavailable) as error:
            return cls(user_id, failure=error)


NO_OVERRIDE: Final = Override(None)


class Loaded(Record, frozen=True):
    """What became of a request's credential: a record, or the reason why there is none, or the error that kept us from looking."""

    _unshown: ClassVar[tuple[str, ...]] = ("failure", "token", "forgetting", "denied")

    source: Source
    record: Session | None = None
    reason: str | None = None
    failure: SessileError | None = None
    override: Override | None = None
    token: str | None = None
    """What replaces the credential: the response carries it, whether or not the handler looks at the session."""
    forgetting: tuple[tuple[bytes, bytes], ...] = ()
    """Headers that go with the token: the cookie of another library is to be forgotten."""
    binding: BindingSeen = BindingSeen.NONE
    denied: Session | None = None
    """A session that the request may not use, because it did not show that it comes from its device."""


async def load(manager: AsyncSessionManager, cookies: CookiePolicy, scope: Scope) -> Loaded:
    """What became of the credential of a request. Raises nothing of ours: an outage is kept for whoever uses the session; who does not use it is
    not disturbed."""
    source, token, reason, names_a_platform = _at_once(cookies, scope) or _looked_through(cookies, scope)
    try:
        if not manager.is_open:
            await manager.open()
        legacy = cookies.legacy
        if (
            legacy is not None
            and legacy.is_asked(token, reason)
            and (found := await legacy.look(manager, cookies, scope))
        ):
            record, token = found.arrived.session, found.arrived.token
            override = await Override.look(manager, scope, record)
            return Loaded(Source.COOKIE, record, override=override, token=token, forgetting=found.headers)
        if token is None:
            return Loaded(source, reason=reason)
        record = await manager.authenticate(token)
        if record.fingerprint is not None and not await fingerprint.is_same_browser(manager, scope, record):
            return Loaded(source, reason=fingerprint.REASON)
        seen = BindingSeen.NONE
        if record.binding is not None:
            usable, seen = await seen_from(manager, scope, record)
            if usable is None:
                return Loaded(source, reason=REASON, binding=seen, denied=record)
            record = usable
        named = await Override.look(manager, scope, record) if names_a_platform else None
        return Loaded(source, record, override=named, binding=seen)
    except SessileError as error:
        if type(error) is SessionNotFound:
            await note_unknown(manager, scope)
        return without_record(source, error)


def without_record(source: Source, error: SessileError) -> Loaded:
    """What an error of `authenticate` means for a request: the reason why there is no session, or that nobody could look."""
    match error:
        case SessionNotFound():
            return Loaded(source, reason="unknown")
        case SessionExpired():
            return Loaded(source, reason=f"expired:{error.clock}")
        case SessionEnded():
            return Loaded(source, reason=f"ended:{error.reason}")
        case _:
            return Loaded(source, failure=error)


_Found = tuple[Source, str | None, str, bool]
"""Where the credential is from, the credential or the reason why there is none, and whether the request names a platform."""


def _at_once(cookies: CookiePolicy, scope: Scope) -> _Found | None:
    """In one pass over the headers, where that is enough: one host, one Cookie header or none, and nothing else that is for us. So it is nearly always.
    None: it is not."""
    if type(cookies) is not CookiePolicy:
        return None
    if type(scope) is WsgiScope:
        found = scope.cookie_host_scheme()
    elif type(headers := scope["headers"]) is list:
        found = _cookie_host_scheme(scope, headers)
    else:
        return None
    if found is None:
        return None
    cookie, host, scheme = found
    if cookie is None:
        return Source.NONE, None, NO_COOKIE, False
    token, reason = cookies.token_in(scheme, host, (cookie,))
    return (Source.NONE if token is None else Source.COOKIE), token, reason, False


def _cookie_host_scheme(scope: Scope, headers: list[tuple[bytes, bytes]]) -> tuple[str | None, str, str] | None:
    cookie = host = None
    for key, value in headers:
        if key == b"cookie" and cookie is None:
            cookie = value
        elif key == b"host" and host is None:
            host = value
        elif key in _HEADERS or not key.islower():
            return None
    if cookie is None:
        return None, "", ""
    return cookie.decode("latin-1"), "" if host is None else host.decode("latin-1"), scheme_of(scope)


def _looked_through(cookies: CookiePolicy, scope: Scope) -> _Found:
    """A bearer token of our shape goes first; any other is the application's own and leaves the cookie alone."""
    headers = scope["headers"]
    bearer = bearer_token(headers)
    if bearer is not None and _is_ours(bearer):
        return Source.BEARER, bearer, "", names_platform(headers)
    found = cookies.read(scope)
    source = Source.NONE if found.token is None else Source.COOKIE
    return source, found.token, found.reason, names_platform(headers)


def _is_ours(token: str) -> bool:
    try:
        tokens.parse(token)
    except SessionNotFound:
        return False
    return True
