"""Device bound sessions on the wire (W3C DBSC): the offer that goes with a log-in, and what a request without its bound cookie may still do.

All of it is for https: browsers act on none of these headers otherwise. The cookie's name and attributes are the same in every framework, because the browser
compares them with what it was told at registration.
"""

from __future__ import annotations

import logging
from typing import Final

from msgspec.structs import replace

from sessile.engine.binding import BindingSeen, BoundCookie
from sessile.model.binding import MissingPolicy
from sessile.model.session import Session
from sessile.model.structured_field import parse_list, quoted
from sessile.runtime.manager import AsyncSessionManager
from sessile.runtime.settings import Settings
from sessile.web.asgi import Scope, header_values, path_within
from sessile.web.cookie_names import DEFAULT_NAME, PREFIXES, values_in
from sessile.web.fingerprint import is_same_browser

logger = logging.getLogger("sessile.binding")

REASON: Final = "unbound"
REGISTRATION_PATH: Final = "/api/v0/session/dbsc/registration"
REFRESH_PATH: Final = "/api/v0/session/dbsc/refresh"
REGISTRATION: Final = b"secure-session-registration"
CHALLENGE: Final = b"secure-session-challenge"
RESPONSE: Final = b"secure-session-response"
IDENTIFIER: Final = b"sec-secure-session-id"
SKIPPED: Final = b"secure-session-skipped"
_PREFIX: Final = "__Host-"
"""Chromium 156 refuses a registration whose cookie begins with `__Host-Http-` (`InvalidCredentialsCookie`), although it keeps such cookies."""
_SKIPS: Final = frozenset({"unreachable", "server_error", "quota_exceeded"})
RawHeaders = tuple[tuple[bytes, bytes], ...]


def cookie_name(settings: Settings) -> str:
    """Of the bound cookie, beside the session's own."""
    name = settings.cookie_name or DEFAULT_NAME
    plain = next((name.removeprefix(prefix) for prefix in PREFIXES if name.startswith(prefix)), name)
    return f"{_PREFIX}{plain}-bound"


def cookie_attributes(settings: Settings) -> str:
    """As both the Set-Cookie and the instructions write them: the browser refuses a cookie whose attributes differ."""
    return f"Path=/; Secure; HttpOnly; SameSite={settings.cookie_samesite.capitalize()}"


def set_cookie(settings: Settings, bound: BoundCookie) -> bytes:
    """The Set-Cookie value."""
    age = f"Max-Age={bound.max_age_s}"
    return f"{cookie_name(settings)}={bound.cookie}; {age}; {cookie_attributes(settings)}".encode("ascii")


async def offered(manager: AsyncSessionManager, session: Session | None, root: str, *, is_secure: bool) -> RawHeaders:
    """Headers of the response to a log-in: they offer the browser to bind the session. None where that is off, over plain http, and for a session that is
    bound already. `root` is the prefix that the service is mounted at."""
    if not manager.settings.dbsc or not (is_secure or manager.settings.cookie_secure) or session is None:
        return ()
    offer = await manager.bindings.offer(session)
    if offer is None:
        return ()
    parameters = {
        "path": root + REGISTRATION_PATH,
        "challenge": offer.challenge,
        "authorization": offer.authorization,
    }
    told = ";".join(f"{name}={quoted(value)}" for name, value in parameters.items())
    return ((REGISTRATION, f"(ES256 RS256);{told}".encode("ascii")),)


async def seen_from(manager: AsyncSessionManager, scope: Scope, session: Session) -> tuple[Session | None, BindingSeen]:
    """The session as far as this request may use it: whole, not fresh, or not at all (`dbsc_missing`). Raises SessionEnded where a late bound cookie ends
    it. Only for a session that has a binding, so others pay for one comparison."""
    settings = manager.settings
    if not settings.dbsc:
        return session, BindingSeen.NONE
    cookies = header_values(scope["headers"], b"cookie")
    values, imitated = values_in(cookies, cookie_name(settings))
    seen = await manager.bindings.look(session, values[0] if len(values) == 1 and not imitated else None)
    if seen is not BindingSeen.MISSING:
        return session, seen
    policy = policy_at(settings, path_within(scope))
    logger.info(
        "Session %s came without its bound cookie (the browser says: %s): %s",
        session.session_id[-8:],
        skip_of(scope) or "nothing",
        policy.value,
        extra={"event_name": "binding_missing"},
    )
    if policy is MissingPolicy.DENY:
        return None, seen
    return (replace(session, authenticated_at=None) if policy is MissingPolicy.STEP_UP else session), seen


async def is_admitted(manager: AsyncSessionManager, scope: Scope, session: Session) -> bool:
    """Whether a request that its token alone would let in comes from the browser and the device of the session (`fingerprint`, `dbsc`), as far as
    either is asked. Raises SessionEnded, StoreUnavailable."""
    if not await is_same_browser(manager, scope, session):
        return False
    return session.binding is None or (await seen_from(manager, scope, session))[0] is not None


def policy_at(settings: Settings, path: str) -> MissingPolicy:
    """What holds there: of the longest path that fits, else `dbsc_missing`."""
    fitting = [known for known in settings.dbsc_missing_at if path == known or path.startswith(known.rstrip("/") + "/")]
    return settings.dbsc_missing_at[max(fitting, key=len)] if fitting else settings.dbsc_missing


def skip_of(scope: Scope) -> str:
    """Why the browser says that it sends no bound cookie: for the log alone, since anybody can say so. Empty: it says nothing."""
    values = header_values(scope["headers"], SKIPPED)
    items = parse_list(values[0]) if len(values) == 1 else None
    said = [item.value for item in items or () if item.value in _SKIPS]
    return ", ".join(said[:4])
