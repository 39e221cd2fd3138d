"""Starlette: `Sessile(app)` gives an application sessions, documents, the API, the socket and the browser client.

    app = Starlette(routes=[...])
    sessile = Sessile(app)

`request.session` and `websocket.session` are then a `WebSession`; `session_of(request)` is the same object with its type. Code that has no
request asks `current_session()`, or `get_current_user_id()` and the like.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, cast

from starlette.applications import Starlette
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Lifespan
from starlette.types import Receive as StarletteReceive
from starlette.types import Scope as StarletteScope
from starlette.types import Send as StarletteSend
from starlette.websockets import WebSocketDisconnect

from sessile.model.errors import ConfigurationError
from sessile.runtime.kinds import DocumentKind
from sessile.runtime.manager import AsyncSessionManager
from sessile.runtime.settings import Settings
from sessile.server.app import create_app, owns_path
from sessile.web.asgi import path_within
from sessile.web.current import (
    current_session,
    get_current_platform_id,
    get_current_session_context,
    get_current_user_id,
    is_session_authenticated,
)
from sessile.web.middleware import SCOPE_KEY
from sessile.web.middleware import SessionMiddleware as AsgiSessionMiddleware
from sessile.web.session import WebSession

__all__ = [
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
    """Sessions alone, without the API and the socket: `app.add_middleware(SessionMiddleware, manager=manager)`. Whoever made the manager
    closes it."""

    def __init__(self, app: ASGIApp, manager: AsyncSessionManager) -> None:
        super().__init__(app, manager, peer_left=(WebSocketDisconnect,))


class Sessile:
    """Builds the manager from settings (and `SESSILE_*` in the environment) and owns its life; or uses a manager that is given, which its
    maker closes. Raises ConfigurationError.

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
        app.add_middleware(_Front, manager=self.manager, service=cast("ASGIApp", self._service))

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

    def __init__(self, app: ASGIApp, manager: AsyncSessionManager, service: ASGIApp) -> None:
        self._application = cast("ASGIApp", SessionMiddleware(app, manager))
        self._service = service

    def __call__(self, scope: StarletteScope, receive: StarletteReceive, send: StarletteSend) -> Awaitable[None]:
        is_ours = scope["type"] in {"http", "websocket"} and owns_path(path_within(scope))
        return (self._service if is_ours else self._application)(scope, receive, send)


def session_of(connection: HTTPConnection) -> WebSession:
    """The session of a request or WebSocket. Does not count as a read. Raises ConfigurationError when the application has no Sessile."""
    session = connection.scope.get(SCOPE_KEY)
    if not isinstance(session, WebSession):
        raise ConfigurationError("This application has no sessions yet: call Sessile(app) once, where the app is made")
    return session
