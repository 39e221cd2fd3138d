"""From a request's credential to its session, or to the reason why there is none. The same for ASGI and WSGI."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import ClassVar, Final

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
from sessile.web.asgi import Scope, bearer_in, picked, scheme_of
from sessile.web.cookies import CookiePolicy
from sessile.web.platforms import HEADER, names_platform, platform_of_request


class Source(Enum):
    NONE = "none"
    COOKIE = "cookie"
    BEARER = "bearer"


_HEADERS: Final = {b"cookie": 0, b"host": 1, b"authorization": 2, HEADER.encode("ascii"): 3}


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

    _unshown: ClassVar[tuple[str, ...]] = ("failure",)

    source: Source
    record: Session | None = None
    reason: str | None = None
    failure: SessileError | None = None
    override: Override | None = None


async def load(manager: AsyncSessionManager, cookies: CookiePolicy, scope: Scope) -> Loaded:
    """What became of the credential of a request. Raises nothing of ours: an outage is kept for whoever uses the session; who does not use it is
    not disturbed."""
    cookie_headers, hosts, authorizations, platforms = picked(scope["headers"], _HEADERS)
    source, reason = Source.BEARER, ""
    token = _bearer(authorizations) if authorizations else None
    if token is None:
        token, reason = cookies.token_in(scheme_of(scope), hosts, cookie_headers)
        source = Source.COOKIE if token is not None else Source.NONE
    try:
        if not manager.is_open:
            await manager.open()
        if token is None:
            return Loaded(source, reason=reason)
        record = await manager.authenticate(token)
        return Loaded(source, record, override=await Override.look(manager, scope, record) if platforms else None)
    except SessionNotFound:
        return Loaded(source, reason="unknown")
    except SessionExpired as error:
        return Loaded(source, reason=f"expired:{error.clock}")
    except SessionEnded as error:
        return Loaded(source, reason=f"ended:{error.reason}")
    except SessileError as error:
        return Loaded(source, failure=error)


def _bearer(authorizations: Sequence[bytes]) -> str | None:
    """A bearer token of our shape goes first; any other is the application's own and leaves the cookie alone."""
    token = bearer_in(authorizations)
    return token if token is not None and _is_ours(token) else None


def _is_ours(token: str) -> bool:
    try:
        tokens.parse(token)
    except SessionNotFound:
        return False
    return True
