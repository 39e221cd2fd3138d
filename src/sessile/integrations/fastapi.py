"""FastAPI: `Sessile(app)`, the parameter type `CurrentSession`, and what a route can require.

    app = FastAPI()
    sessile = Sessile(app)

    @app.get("/intake", dependencies=[Depends(require_user)])
    async def intake(session: CurrentSession): ...

All of it works in `async def` and `def` handlers, in routers and in WebSocket endpoints, and leaves no trace in the OpenAPI document.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any
from urllib.parse import parse_qs

from fastapi import Depends, FastAPI
from fastapi.requests import HTTPConnection, Request

from sessile.integrations import starlette
from sessile.integrations.starlette import (
    DetachedSession,
    SessionMiddleware,
    current_session,
    get_current_platform_id,
    get_current_session_context,
    get_current_user_id,
    is_session_authenticated,
    session_of,
)
from sessile.runtime.kinds import DocumentKind
from sessile.runtime.manager import AsyncSessionManager
from sessile.web.csrf import FIELD, HEADER
from sessile.web.middleware import ORIGINS_KEY
from sessile.web.origins import OriginPolicy
from sessile.web.session import WebSession

__all__ = [
    "CurrentSession",
    "DetachedSession",
    "Sessile",
    "SessionMiddleware",
    "WebSession",
    "current_session",
    "get_current_platform_id",
    "get_current_session_context",
    "get_current_user_id",
    "is_session_authenticated",
    "require_bound",
    "require_csrf",
    "require_fresh",
    "require_same_origin",
    "require_user",
]


class Sessile(starlette.Sessile):
    """Sessions, documents, API, socket and browser client for a FastAPI application. `settings` are those of `sessile.Settings`, by default
    from `SESSILE_*` in the environment. `.manager` is the facade for everything else."""

    def __init__(
        self,
        app: FastAPI,
        manager: AsyncSessionManager | None = None,
        *,
        kinds: Sequence[DocumentKind] = (),
        without_session: Sequence[str] = (),
        **settings: Any,
    ) -> None:
        super().__init__(app, manager, kinds=kinds, without_session=without_session, **settings)


async def _current_session(connection: HTTPConnection) -> WebSession:
    return session_of(connection)


CurrentSession = Annotated[WebSession, Depends(_current_session)]
"""A handler's parameter of this type is the session of its request or WebSocket. Asking for it is not yet a use of it."""


async def require_user(session: CurrentSession) -> str:
    """For `Depends`: the id of the user who is logged in. Otherwise the response is 401 with the reason, and 503 when nobody can tell."""
    return session.require_user()


def require_fresh(max_age_s: float | None = None) -> Callable[[WebSession], Awaitable[str]]:
    """For `Depends(require_fresh(300))`: the id of a user who logged in at most `max_age_s` seconds ago, by default
    `fresh_timeout_s`. Otherwise the response is 403 `freshness_required`, to be answered with the application's own log-in and `session.login()` again; or 401."""

    async def fresh_user(session: CurrentSession) -> str:
        session.require_fresh(max_age_s)
        return session.require_user()

    return fresh_user


async def require_bound(session: CurrentSession) -> None:
    """For `Depends`: the response is 403 `binding_required` when the session is bound to a device and the request does not show that it comes from there
    (`dbsc`); or 401."""
    session.require_bound()


async def require_same_origin(connection: HTTPConnection) -> None:
    """For `Depends`, on a route, a router or the whole application: an unsafe request or a socket that another site's page sends is answered with
    403. Beyond `SameSite=Lax`, which the cookie has by default (ASVS 5.0 section 3.5)."""
    session_of(connection)
    origins: OriginPolicy = connection.scope[ORIGINS_KEY]
    if connection.scope["type"] == "websocket":
        origins.check_socket(connection.scope, has_token=False)
    else:
        origins.check_unsafe(connection.scope)


async def require_csrf(request: Request, session: CurrentSession) -> None:
    """For `Depends`, on a route that a form is sent to: its field `csrf_token`, or the header `X-CSRF-Token`, must hold a token of this session
    (`session.csrf_token()`, or GET /api/v0/session/csrf). Otherwise the response is 403 `csrf_failed`."""
    token = request.headers.get(HEADER)
    if token is None:
        token = await _field_of(request)
    await session.check_csrf_token(token)


async def _field_of(request: Request) -> str | None:
    kind = request.headers.get("content-type", "")
    if kind.startswith("application/x-www-form-urlencoded"):  # the body stays there for the handler
        values = parse_qs((await request.body()).decode("utf-8", "replace")).get(FIELD, [])
        return values[0] if len(values) == 1 else None
    if kind.startswith("multipart/form-data"):
        field = (await request.form()).get(FIELD)
        return field if isinstance(field, str) else None
    return None
