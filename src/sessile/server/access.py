"""Who is asking: the session behind a request's cookie or bearer token, and where the request comes from."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated

from fastapi import Depends
from starlette.requests import Request

from sessile.model.document import Actor
from sessile.model.errors import AuthenticationRequired, SessionEnded, SessionExpired, SessionNotFound
from sessile.model.session import Session, Standing
from sessile.runtime.manager import AsyncSessionManager
from sessile.web import binding, fingerprint
from sessile.web.asgi import Scope, bearer_token, scheme_of
from sessile.web.cookies import NO_COOKIE, CookiePolicy
from sessile.web.guessing import note_unknown
from sessile.web.origins import OriginPolicy


@dataclass(frozen=True, slots=True)
class Seen:
    """What a request's credential turned out to be. Without a session, `reason` says why."""

    session: Session | None
    reason: str = ""
    is_bearer: bool = False

    def required(self) -> Session:
        """The session. Raises AuthenticationRequired with the reason."""
        if self.session is None:
            raise AuthenticationRequired(self.reason)
        return self.session


class Access:
    """Looks at credentials. An outage raises StoreUnavailable and is never taken for nobody being logged in."""

    def __init__(self, manager: AsyncSessionManager, cookies: CookiePolicy | None = None) -> None:
        self.cookies = cookies or CookiePolicy(manager.settings)
        self.origins = OriginPolicy(manager.settings, self.cookies)
        self._manager = manager

    async def look(self, scope: Scope) -> Seen:
        """The session of this request. A bearer token goes before the cookie."""
        bearer = bearer_token(scope["headers"])
        if bearer is not None:
            return await self._authenticate(scope, bearer, is_bearer=True)
        found = self.cookies.read(scope)
        legacy = self.cookies.legacy
        if legacy is not None and legacy.is_asked(found.token, found.reason):
            # The page itself gets the token that replaces an old cookie, not these answers.
            otherwise = Seen(None, found.reason if found.token is None else "unknown")
            return await self._seen(legacy.recognise(self._manager, self.cookies, scope), otherwise, is_bearer=False)
        if found.token is None:
            return Seen(None, found.reason)
        return await self._authenticate(scope, found.token, is_bearer=False)

    def has_cookie(self, scope: Scope) -> bool:
        """True when the request carries a cookie of our name, or one that may be taken for a session, whatever it is worth."""
        return self.cookies.read(scope).reason != NO_COOKIE or (
            self.cookies.legacy is not None and self.cookies.legacy.has_one(scope)
        )

    def set_cookie(self, scope: Scope, token: str, left: timedelta | None) -> bytes:
        """The Set-Cookie value that gives the browser this token for the rest of the session's life, or (None) until it is closed."""
        return self.cookies.set_header(scope, token, left)

    def log_out_headers(self, scope: Scope) -> list[tuple[bytes, bytes]]:
        """What makes the browser forget the token, and what it kept of the site."""
        forgotten = self.cookies.forget_site(is_secure=scheme_of(scope) == "https")
        return [(b"set-cookie", self.cookies.clear_header(scope)), *forgotten]

    async def _authenticate(self, scope: Scope, token: str, *, is_bearer: bool) -> Seen:
        seen = await self._seen(
            self._manager.authenticate(token), Seen(None, "unknown", is_bearer), is_bearer=is_bearer
        )
        session = seen.session
        if seen.reason == "unknown":
            await note_unknown(self._manager, scope)
        if session is None:
            return seen
        if session.fingerprint is not None and not await fingerprint.is_same_browser(self._manager, scope, session):
            return Seen(None, fingerprint.REASON, is_bearer)
        if session.binding is None:
            return seen
        return await self._bound(scope, session, is_bearer=is_bearer)

    async def _bound(self, scope: Scope, session: Session, *, is_bearer: bool) -> Seen:
        try:
            usable, _seen = await binding.seen_from(self._manager, scope, session)
        except SessionEnded as error:
            return Seen(None, f"ended:{error.reason}", is_bearer)
        return Seen(usable, "" if usable is not None else binding.REASON, is_bearer)

    async def _seen(self, asked: Awaitable[Session | None], otherwise: Seen, *, is_bearer: bool) -> Seen:
        try:
            session = await asked
        except SessionNotFound:
            return Seen(None, "unknown", is_bearer)
        except SessionExpired as error:
            return Seen(None, f"expired:{error.clock}", is_bearer)
        except SessionEnded as error:
            return Seen(None, f"ended:{error.reason}", is_bearer)
        if session is None:
            return otherwise
        if session.standing is Standing.SUPERSEDED:
            return Seen(None, "unknown", is_bearer)
        return Seen(session, "", is_bearer)


def is_service(request: Request, key: str) -> bool:
    """True when the request carries the service key. Constant time (ASVS 11.2.4)."""
    return hmac.compare_digest((bearer_token(request.headers.raw) or "").encode(), key.encode())


async def caller(request: Request) -> Seen:
    """The caller, whoever it is. Raises OriginRefused, CsrfFailed for an unsafe request that may be forged."""
    access: Access = request.app.state.access
    access.origins.check_unsafe(request.scope)
    return await access.look(request.scope)


async def current(seen: Annotated[Seen, Depends(caller)]) -> Session:
    """The caller's session, anonymous or not. Raises AuthenticationRequired."""
    return seen.required()


CurrentSeen = Annotated[Seen, Depends(caller)]
Current = Annotated[Session, Depends(current)]


def actor_of(session: Session, device_id: str | None = None) -> Actor:
    return Actor(user_id=session.user_id, session_id=session.session_id, device_id=device_id)
