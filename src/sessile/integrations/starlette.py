"""Starlette: `Sessile(app)` gives an application sessions, documents, the API, the socket and the browser client.

    app = Starlette(routes=[...])
    sessile = Sessile(app)

`request.session` and `websocket.session` are then a `WebSession`; `session_of(request)` is the same object with its type. Code that has no
request asks `current_session()`, or `get_current_user_id()` and the like.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Literal, cast

from msgspec import UNSET, UnsetType
from starlette.applications import Starlette
from starlette.datastructures import Secret
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Lifespan
from starlette.types import Receive as StarletteReceive
from starlette.types import Scope as StarletteScope
from starlette.types import Send as StarletteSend
from starlette.websockets import WebSocketDisconnect

from sessile.model.errors import ConfigurationError
from sessile.model.secret import check_secret
from sessile.runtime.kinds import DocumentKind
from sessile.runtime.manager import AsyncSessionManager
from sessile.runtime.settings import Settings
from sessile.server.app import Service, create_app
from sessile.web.asgi import Receive, Scope, Send, path_within
from sessile.web.current import (
    current_session,
    get_current_platform_id,
    get_current_session_context,
    get_current_user_id,
    is_session_authenticated,
)
from sessile.web.detached import DetachedSession
from sessile.web.lifespan import live_with
from sessile.web.middleware import SCOPE_KEY
from sessile.web.middleware import SessionMiddleware as AsgiSessionMiddleware
from sessile.web.session import WebSession

logger = logging.getLogger("sessile.starlette")

__all__ = [
    "DetachedSession",
    "Sessile",
    "SessionMiddleware",
    "WebSession",
    "current_session",
    "get_current_platform_id",
    "get_current_session_context",
    "get_current_user_id",
    "is_session_authenticated",
    "session_of",
]


class SessionMiddleware(AsgiSessionMiddleware):
    """Sessions alone, without the API and the socket. Takes the place of Starlette's own middleware of this name, with its arguments:

        app.add_middleware(SessionMiddleware, secret_key="...")

    With a `manager` it uses that one, whose maker closes it; then nothing else may be given. Otherwise it makes one from `settings`, those of
    `sessile.Settings`, and `SESSILE_*` in the environment, opens it before the application starts and closes it after the application has ended (at the
    first request and not at all where nobody runs the lifespan, as in a test client without `with`). What Starlette's arguments mean here:

    - `secret_key` joins the keys of `secret_keys`, behind those of the environment. It signs CSRF tokens and the like; the cookie is a random token and
      needs no signature. One of less than 32 characters is not used, and the log says so.
    - `session_cookie` is `cookie_name`; under https a prefix is added that keeps other hosts and page script away from it.
    - `max_age` is `idle_timeout_s`, in seconds: the session ends so long after the last use. `absolute_timeout_s` and `remember_timeout_s` become at least
      as long. None, as in Starlette, is a cookie that the browser forgets when it is closed (but that of `login(remember=True)`). On the server the
      clocks of the settings hold all the same: there is no session without an end.
    - `path` is `cookie_path`, `same_site` is `cookie_samesite`.
    - `https_only` is `cookie_secure`: `Secure` also where the server does not know that a proxy speaks https for it. Over https the cookie always is.
    - `domain` is `cookie_domain`, `partitioned` is `cookie_partitioned`. Any host below a domain can read and plant the cookie.

    `without_session`: paths, with all below them, that get no session and cost nothing: `("/static",)`. Raises ConfigurationError for what does not fit
    together.
    """

    def __init__(
        self,
        app: ASGIApp,
        /,
        secret_key: str | Secret | None = None,
        session_cookie: str | None = None,
        max_age: float | UnsetType | None = UNSET,
        path: str | None = None,
        same_site: Literal["lax", "strict", "none"] | None = None,
        https_only: bool = False,
        domain: str | None = None,
        partitioned: bool = False,
        *,
        manager: AsyncSessionManager | None = None,
        without_session: Sequence[str] = (),
        **settings: Any,
    ) -> None:
        given = {
            "cookie_name": session_cookie,
            "cookie_path": path,
            "cookie_samesite": same_site,
            "cookie_domain": domain,
            "cookie_secure": https_only or None,
            "cookie_partitioned": partitioned or None,
        }
        settings.update({name: value for name, value in given.items() if value is not None})
        if manager is not None and (settings or secret_key is not None or max_age is not UNSET):
            raise ConfigurationError(
                "SessionMiddleware(manager=...): the manager has its settings already; leave the others out here"
            )
        self._owns_manager = manager is None
        self.manager = manager or AsyncSessionManager(_settings(secret_key, max_age, settings))
        super().__init__(app, self.manager, peer_left=(WebSocketDisconnect,), without_session=without_session)
        self._cookies.ends_with_browser = max_age is None

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" and self._owns_manager:
            await live_with(self._app, scope, receive, send, begin=self.manager.open, end=self.manager.close)
        else:
            await self._app(scope, receive, send)


def _settings(secret_key: str | Secret | None, max_age: float | UnsetType | None, settings: dict[str, Any]) -> Settings:
    if isinstance(max_age, int | float):
        if "idle_timeout_s" in settings:
            raise ConfigurationError("SessionMiddleware: max_age and idle_timeout_s are the same; give one of them")
        settings["idle_timeout_s"] = max_age
        known = Settings()
        if settings.get("preset", known.preset) is None:  # which says the longer clocks itself
            settings.setdefault("absolute_timeout_s", max(known.absolute_timeout_s, max_age))
            settings.setdefault("remember_timeout_s", max(known.remember_timeout_s, settings["absolute_timeout_s"]))
    if secret_key is not None:
        key = str(secret_key)
        try:
            check_secret(key)
        except ValueError as error:
            logger.warning(
                "secret_key %s. It is not used; a key that was made by chance is.",
                error,
                extra={"event_name": "secret_key_weak"},
            )
        else:
            ring = [one.get_secret_value() for one in Settings(**settings).secret_keys]
            settings["secret_keys"] = [*ring, *([] if key in ring else [key])]
    return Settings(**settings)


class Sessile:
    """Builds the manager from settings (and `SESSILE_*` in the environment) and owns its life; or uses a manager that is given, which its
    maker closes. Raises ConfigurationError.

    `without_session`: paths, with all below them, that get no session and cost nothing, whatever cookie comes: `("/static",)`.

    The paths of the service (`/api/session_state`, `/api/v0/`, `/ws`, `/sessile.js`) go before the application's own routes. Middleware that is
    to see them, CORS for instance, is added after this.
    """

    manager: AsyncSessionManager

    def __init__(
        self,
        app: Starlette,
        manager: AsyncSessionManager | None = None,
        *,
        kinds: Sequence[DocumentKind] = (),
        without_session: Sequence[str] = (),
        **settings: Any,
    ) -> None:
        if manager is not None and (settings or kinds):
            raise ConfigurationError(
                "Sessile(app, manager, ...): the manager has its settings and kinds already; leave them out here"
            )
        if isinstance(getattr(app.state, "sessile", None), Sessile):
            raise ConfigurationError("Sessile(app) was called for this application before")
        self._owns_manager = manager is None
        self.manager = manager if manager is not None else AsyncSessionManager(Settings(**settings), kinds=kinds)
        self._service = create_app(self.manager, standalone=False)
        app.state.sessile = self
        app.router.lifespan_context = self._lifespan_around(app.router.lifespan_context)
        app.add_middleware(_Front, manager=self.manager, service=self._service, without_session=without_session)

    async def drain(self) -> None:
        """Says goodbye to every socket of the service; the lifespan's end does it, too. A server that closes sockets by itself before that
        (uvicorn) awaits it first: see `sessile.server.serving.run`."""
        await self._service.drain()

    def _lifespan_around(self, inner: Lifespan[Any]) -> Lifespan[Any]:
        def lifespan(app: Any) -> AbstractAsyncContextManager[Any]:
            return self._living(inner(app))

        return lifespan

    @asynccontextmanager
    async def _living(
        self, inner: AbstractAsyncContextManager[Mapping[str, Any] | None]
    ) -> AsyncIterator[Mapping[str, Any] | None]:
        await self._service.start()
        try:
            async with inner as state:
                try:
                    yield state
                finally:
                    await self._service.close()
        finally:
            if self._owns_manager:
                await self.manager.close()


class _Front:
    """The first to see a request: paths of the service go there, which looks at credentials itself; everything else gets its session."""

    def __init__(
        self, app: ASGIApp, manager: AsyncSessionManager, service: Service, without_session: Sequence[str]
    ) -> None:
        self._application = cast("ASGIApp", SessionMiddleware(app, manager=manager, without_session=without_session))
        self._service = service

    def __call__(self, scope: StarletteScope, receive: StarletteReceive, send: StarletteSend) -> Awaitable[None]:
        is_ours = scope["type"] in {"http", "websocket"} and self._service.owns(path_within(scope))
        return (cast("ASGIApp", self._service) if is_ours else self._application)(scope, receive, send)


def session_of(connection: HTTPConnection) -> WebSession:
    """The session of a request or WebSocket. Does not count as a read. Raises ConfigurationError when the application has no Sessile."""
    session = connection.scope.get(SCOPE_KEY)
    if not isinstance(session, WebSession):
        raise ConfigurationError(
            "This application has no sessions yet: call Sessile(app) once, where the app is made. (Or this path is one of `without_session`.)"
        )
    return session
