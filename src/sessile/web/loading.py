"""From a request's credential to its session, or to the reason why there is none. The same for ASGI and WSGI."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Final

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
from sessile.model.session import Session
from sessile.runtime.manager import AsyncSessionManager
from sessile.web.asgi import Scope, bearer_token
from sessile.web.cookies import CookiePolicy
from sessile.web.platforms import names_platform, platform_of_request


class Source(Enum):
    NONE = "none"
    COOKIE = "cookie"
    BEARER = "bearer"


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


@dataclass(frozen=True, slots=True)
class Loaded:
    """What became of a request's credential: a record, or the reason why there is none, or the error that kept us from looking."""

    source: Source
    record: Session | None = None
    reason: str | None = None
    failure: SessileError | None = field(default=None, repr=False)
    override: Override | None = None


async def load(manager: AsyncSessionManager, cookies: CookiePolicy, scope: Scope) -> Loaded:
    """What became of the credential of a request. Raises nothing of ours: an outage is kept for whoever uses the session; who does not use it is
    not disturbed."""
    source, token, reason = _credential(cookies, scope)
    try:
        if not manager.is_open:
            await manager.open()
        if token is None:
            return Loaded(source, reason=reason)
        record = await manager.authenticate(token)
        return Loaded(source, record, override=await Override.look(manager, scope, record))
    except SessionNotFound:
        return Loaded(source, reason="unknown")
    except SessionExpired as error:
        return Loaded(source, reason=f"expired:{error.clock}")
    except SessionEnded as error:
        return Loaded(source, reason=f"ended:{error.reason}")
    except SessileError as error:
        return Loaded(source, failure=error)


def _credential(cookies: CookiePolicy, scope: Scope) -> tuple[Source, str | None, str]:
    """A bearer token of our shape goes first; any other is the application's own and leaves the cookie alone."""
    bearer = bearer_token(scope["headers"])
    if bearer is not None and _is_ours(bearer):
        return Source.BEARER, bearer, ""
    found = cookies.read(scope)
    return (Source.COOKIE if found.token is not None else Source.NONE), found.token, found.reason


def _is_ours(token: str) -> bool:
    try:
        tokens.parse(token)
    except SessionNotFound:
        return False
    return True
