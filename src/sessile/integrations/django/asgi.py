"""The project's ASGI application with the socket, in `asgi.py` of the project:

    from sessile.integrations.django.asgi import get_asgi_application
    application = get_asgi_application()

With Channels: `application = with_service(ProtocolTypeRouter({...}))`.
"""

from __future__ import annotations

from typing import Any

import django
from django.core.exceptions import DisallowedHost
from django.core.handlers.asgi import ASGIHandler

from sessile.integrations.django.process import here
from sessile.integrations.django.service import as_django_sees, close_service, service_here
from sessile.model.errors import SessileError
from sessile.runtime.blocking import SessionManager
from sessile.server.paths import owns_path
from sessile.web.asgi import App, Receive, Scope, Send, path_within


def get_asgi_application() -> WithService:
    """Django's, with the service before it."""
    django.setup(set_prefix=False)
    return with_service(ASGIHandler())


def with_service(application: Any) -> WithService:
    """`application` with the paths of the service before it: `/api/session_state`, `/api/v0/`, `/ws`, `/sessile.js`."""
    return WithService(application)


class WithService:
    """Answers the service's paths on the server's own loop, sockets included, without going through Django's middleware. Owns the lifespan, which
    Django leaves alone; under a server without one the service begins with the first request and ends with the loop."""

    def __init__(self, application: App) -> None:
        self._application = application

    @property
    def manager(self) -> SessionManager:
        """The blocking facade of the project; its settings say which proxies are believed."""
        return here().manager

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = scope["type"]
        if kind == "lifespan":
            await self._live(receive, send)
        elif kind in {"http", "websocket"} and owns_path(path_within(scope)):
            await self._serve(scope, receive, send)
        else:
            await self._application(scope, receive, send)

    async def drain(self) -> None:
        """Says goodbye to every socket; a server that closes sockets by itself awaits this first (`sessile.server.serving.run`)."""
        await (await service_here()).drain()

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            seen = as_django_sees(scope)
        except DisallowedHost:
            await _refuse(scope["type"], send)
            return
        await (await service_here())(seen, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()  # lifespan.startup
        try:
            await (await service_here()).start()
        except SessileError as error:
            await send({"type": "lifespan.startup.failed", "message": error.message})
            return
        await send({"type": "lifespan.startup.complete"})
        try:
            await receive()  # lifespan.shutdown
        finally:
            await close_service()
        await send({"type": "lifespan.shutdown.complete"})


async def _refuse(kind: str, send: Send) -> None:
    """As Django answers a host that is not in ALLOWED_HOSTS."""
    if kind == "websocket":
        await send({"type": "websocket.close", "code": 1008, "reason": ""})
        return
    await send({"type": "http.response.start", "status": 400, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})
