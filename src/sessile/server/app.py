"""The service as one ASGI application: API, socket and browser client. Mounted by the integrations, or alone under `sessile serve`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final

from fastapi import FastAPI

from sessile import __version__
from sessile.model.errors import SessileError
from sessile.runtime.manager import AsyncSessionManager
from sessile.server.access import Access
from sessile.server.answers import PrivateAnswers
from sessile.server.bodies import components
from sessile.server.examples import add_examples
from sessile.server.limits import BodyLimits
from sessile.server.paths import owns_console_path, owns_path
from sessile.server.problems import SCHEMA, install
from sessile.server.realtime.endpoint import SocketEndpoint
from sessile.server.realtime.events import EventStreams
from sessile.server.realtime.hub import Hub
from sessile.server.realtime.outbox import STALL_TIMEOUT_S
from sessile.server.routes import (
    binding,
    bundle,
    changes,
    checkpoints,
    debug,
    devices,
    documents,
    events,
    handoff,
    health,
    history,
    metrics,
    platforms,
    returning,
    session,
    sessions,
)
from sessile.web.asgi import App, Receive, Scope, Send, path_within
from sessile.web.cookies import CookiePolicy
from sessile.web.problems import send_problem

__all__ = ["OPENAPI_PATH", "Service", "create_app", "owns_path"]

if TYPE_CHECKING:
    from sessile.server.console.console import Console

OPENAPI_PATH: Final = "/api/v0/openapi.json"


def create_app(
    manager: AsyncSessionManager,
    *,
    standalone: bool,
    stall_timeout_s: float = STALL_TIMEOUT_S,
    cookies: CookiePolicy | None = None,
    console: bool | None = None,
) -> Service:
    """The ASGI application around an open or yet unopened manager. With `standalone` it also owns the manager's life, `/`, `/healthz`
    and `/readyz`. A peer that takes nothing for `stall_timeout_s` is disconnected. `cookies`: where another framework names the cookie.
    `console`: with the operators' console, or without; None is what the settings say."""
    has_console = manager.settings.console if console is None else console
    return Service(
        manager, standalone=standalone, stall_timeout_s=stall_timeout_s, cookies=cookies, has_console=has_console
    )


class Service:
    def __init__(
        self,
        manager: AsyncSessionManager,
        *,
        standalone: bool,
        stall_timeout_s: float,
        cookies: CookiePolicy | None = None,
        has_console: bool = False,
    ) -> None:
        self.manager = manager
        self.hub = Hub(manager, stall_timeout_s=stall_timeout_s)
        manager.telemetry.before_reading(self._tell_figures)
        self._standalone = standalone
        self._is_open = False
        access = Access(manager, cookies)
        self.api = _make_api(manager, self.hub, access, standalone=standalone)
        self._http: App = PrivateAnswers(BodyLimits(self.api))
        self._socket = SocketEndpoint(self.hub, access, self.open)
        self.console = _make_console(manager, self.hub) if has_console else None

    def owns(self, path: str) -> bool:
        """True for the paths (without a mount prefix) that this service answers inside another application."""
        return owns_path(path) or (self.console is not None and owns_console_path(path))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _live(self.start, self.close, receive, send)
            return
        path = path_within(scope)
        if scope["type"] == "websocket":
            await self._socket(scope, receive, send, path)
            return
        try:
            await self.open()
        except SessileError as error:
            await send_problem(error, send)
            return
        if self.console is not None and owns_console_path(path):
            await self.console(scope, receive, send)
        else:
            await self._http(scope, receive, send)

    def _tell_figures(self) -> None:
        metrics = self.manager.telemetry.metrics
        metrics.gauge("sessile_sockets").set(len(self.hub.connections))
        metrics.gauge("sessile_draining").set(self.hub.draining)

    async def start(self) -> None:
        """The application begins to live, perhaps again after a `close`: sockets are welcome."""
        self.hub.draining = False
        await self.open()

    async def open(self) -> None:
        """Opens the manager; again is no harm and costs nothing. Raises StoreUnavailable, ConfigurationError."""
        if not self._is_open:
            await self.manager.open()
            self._is_open = True
            if self.console is not None:
                self.console.start()

    async def drain(self) -> None:
        """Says goodbye to every socket: goaway, acks of what is in flight, close 4000. Returns within `drain_timeout_s`."""
        await self.hub.drain()

    async def close(self) -> None:
        """Drains, and closes the manager when it is this service's own."""
        await self.drain()
        self._is_open = False
        if self.console is not None:
            await self.console.stop()
        if self._standalone:
            await self.manager.close()


def _make_console(manager: AsyncSessionManager, hub: Hub) -> Console:
    from sessile.server.console.console import Console  # what nobody asked for is not loaded

    return Console(manager, hub)


def _make_api(manager: AsyncSessionManager, hub: Hub, access: Access, *, standalone: bool) -> FastAPI:
    api = FastAPI(
        title="Sessile",
        version=__version__,
        openapi_url=OPENAPI_PATH,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        responses={
            "4XX": {"description": "Refused (RFC 9457)", "content": {"application/problem+json": {"schema": SCHEMA}}},
            503: {"description": "The store is away", "content": {"application/problem+json": {"schema": SCHEMA}}},
        },
    )
    api.state.manager, api.state.hub, api.state.access = manager, hub, access
    api.state.streams = EventStreams(hub)
    install(api)
    for resource in (
        session,
        binding,
        sessions,
        returning,
        platforms,
        handoff,
        events,
        history,
        documents,
        devices,
        changes,
        checkpoints,
        bundle,
        debug,
        *((health, metrics) if standalone else ()),
    ):
        api.include_router(resource.router)
    _describe_bodies(api)
    return api


def _describe_bodies(api: FastAPI) -> None:
    """The framework knows nothing of the bodies that are decoded here, so their schemas are added."""
    generated = api.openapi

    def openapi() -> dict[str, Any]:
        if api.openapi_schema is None:
            schema = generated()
            schema.setdefault("components", {}).setdefault("schemas", {}).update(components())
            add_examples(schema)
            api.openapi_schema = schema
        return api.openapi_schema

    api.openapi = openapi  # type: ignore[method-assign]


async def _live(
    start: Callable[[], Awaitable[None]], stop: Callable[[], Awaitable[None]], receive: Receive, send: Send
) -> None:
    """The lifespan protocol of ASGI."""
    await receive()  # lifespan.startup
    try:
        await start()
    except SessileError as error:
        await send({"type": "lifespan.startup.failed", "message": error.message})
        return
    await send({"type": "lifespan.startup.complete"})
    try:
        await receive()  # lifespan.shutdown
    finally:
        await asyncio.shield(stop())
    await send({"type": "lifespan.shutdown.complete"})
