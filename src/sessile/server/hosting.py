"""An application and the service on one origin: its own paths, the socket among them, are answered by the service, everything else by the application."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from sessile.model.errors import SessileError
from sessile.server.app import Service
from sessile.web.asgi import App, Message, Receive, Scope, Send, path_within

_log = logging.getLogger("sessile.server")
_STARTED: Final = frozenset({"lifespan.startup.complete", "lifespan.startup.failed"})


class Hosted:
    """The ASGI application for the server. `at_end` is called when the application is no longer needed."""

    def __init__(self, service: Service, application: App, *, has_lifespan: bool, at_end: Callable[[], None]) -> None:
        self._service = service
        self._application = application
        self._has_lifespan = has_lifespan
        self._at_end = at_end

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(scope, receive, send)
        elif self._service.owns(path_within(scope)):
            await self._service(scope, receive, send)
        else:
            await self._application(scope, receive, send)

    async def drain(self) -> None:
        """Says goodbye to every socket of the service."""
        await self._service.drain()

    async def _live(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._service.start()
        except SessileError as error:
            await receive()
            await send({"type": "lifespan.startup.failed", "message": error.message})
            return
        try:
            if not (self._has_lifespan and await self._application_lives(scope, receive, send)):
                await receive()
                await send({"type": "lifespan.startup.complete"})
                await receive()
                await send({"type": "lifespan.shutdown.complete"})
        finally:
            await asyncio.shield(self._service.close())
            await asyncio.get_running_loop().run_in_executor(None, self._at_end)

    async def _application_lives(self, scope: Scope, receive: Receive, send: Send) -> bool:
        """False for an application that knows no lifespan: it raises (Django), or returns at once."""
        is_known = False
        received: list[Message] = []

        async def told(message: Message) -> None:
            nonlocal is_known
            is_known = is_known or message["type"] in _STARTED
            await send(message)

        async def heard() -> Message:
            message = await receive()
            received.append(message)
            return message

        try:
            await self._application(scope, heard, told)
        except Exception:
            if is_known:
                raise
            # As servers do (ASGI, "Lifespan Protocol"): whoever raises before answering does not speak it. But perhaps it was a fault.
            _log.info(
                "The application has no lifespan, or failed before it said so",
                exc_info=True,
                extra={"event_name": "lifespan_missing"},
            )
        if not is_known and received:  # it took the first message and said nothing
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return True
        return is_known
