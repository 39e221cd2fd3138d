"""The HTTP API beside Django's views: on the event loop that asks for it, or, where there is none, on a loop of its own in a thread."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import suppress
from typing import Any, Final
from weakref import WeakKeyDictionary

from django.conf import settings as django_settings
from django.core.exceptions import DisallowedHost
from django.http.request import split_domain_port, validate_host

from sessile.integrations.django.process import Process, at_close, here
from sessile.runtime.manager import AsyncSessionManager
from sessile.server.app import Service, create_app
from sessile.server.threaded import ServiceThread
from sessile.web.asgi import Message, Scope, header_values

_LOCAL_HOSTS: Final = (".localhost", "127.0.0.1", "[::1]")


def _made(process: Process) -> Service:
    return create_app(process.loop_manager(), standalone=True, cookies=process.cookies)


# -- in a thread ------------------------------------------------------------------------------------------------------------------------------

_thread: ServiceThread | None = None


def service_thread() -> ServiceThread:
    """The one of this process, for WSGI."""
    global _thread  # noqa: PLW0603 - one for a process, closed with the rest of it
    if _thread is None:
        process = here()
        _thread = ServiceThread(process.loop_manager, process.cookies)
    return _thread


def _close_thread() -> None:
    global _thread
    thread, _thread = _thread, None
    if thread is not None:
        thread.close()


at_close(_close_thread)

# -- on a loop --------------------------------------------------------------------------------------------------------------------------------

_Kept = tuple[Service, AsyncGenerator[None, None]]
_services: Final[WeakKeyDictionary[asyncio.AbstractEventLoop, _Kept]] = WeakKeyDictionary()


async def service_here() -> Service:
    """The one of this event loop; it lets go of the store when the loop comes to its end, or at `close_service`."""
    loop = asyncio.get_running_loop()
    kept = _services.get(loop)
    if kept is None:
        process = here()
        service = _made(process)
        # A server that knows no lifespan tells nobody when it stops, but every loop that is run in order ends its generators first.
        life = _life(loop, service, process)
        _services[loop] = kept = (service, life)
        process.on_loop[loop] = service.manager
        await anext(life)
    return kept[0]


async def close_service() -> None:
    """Says goodbye to the sockets of this loop and lets go of the store."""
    kept = _services.get(asyncio.get_running_loop())
    if kept is not None:
        await kept[1].aclose()


async def manager_here() -> AsyncSessionManager:
    """The asyncio facade of this event loop, open. Raises StoreUnavailable."""
    service = await service_here()
    await service.open()
    return service.manager


async def _life(loop: asyncio.AbstractEventLoop, service: Service, process: Process) -> AsyncGenerator[None, None]:
    try:
        yield
    finally:
        _services.pop(loop, None)
        process.on_loop.pop(loop, None)
        await service.close()


# -- what Django says of the request ----------------------------------------------------------------------------------------------------------


def as_django_sees(scope: Scope) -> Scope:
    """The scope with scheme and host as Django's settings believe them (`SECURE_PROXY_SSL_HEADER`, `USE_X_FORWARDED_HOST`). Raises DisallowedHost."""
    headers = list(scope["headers"])
    scheme = _scheme(scope, headers)
    host = _host(headers)
    if host is not None:
        headers = [(name, value) for name, value in headers if name != b"host"] + [(b"host", host.encode("latin-1"))]
    return {**scope, "scheme": scheme, "headers": headers}


def _scheme(scope: Scope, headers: list[tuple[bytes, bytes]]) -> str:
    scheme = str(scope.get("scheme", "http"))
    believed = django_settings.SECURE_PROXY_SSL_HEADER
    if not believed:
        return scheme
    name, secure = believed
    values = header_values(headers, name.removeprefix("HTTP_").replace("_", "-").lower().encode())
    if not values:
        return scheme
    is_secure = values[0].split(",", 1)[0].strip() == secure
    if scope["type"] == "websocket":
        return "wss" if is_secure else "ws"
    return "https" if is_secure else "http"


def _host(headers: list[tuple[bytes, bytes]]) -> str | None:
    """None where the header is to stay as it came."""
    forwarded = header_values(headers, b"x-forwarded-host") if django_settings.USE_X_FORWARDED_HOST else []
    host = (forwarded or header_values(headers, b"host") or [""])[0].lower()
    allowed = django_settings.ALLOWED_HOSTS or (_LOCAL_HOSTS if django_settings.DEBUG else ())
    domain, _port = split_domain_port(host)
    if not (domain and validate_host(domain, allowed)):
        raise DisallowedHost(f"{host!r} is not in ALLOWED_HOSTS")
    return host if forwarded else None


# -- one request ------------------------------------------------------------------------------------------------------------------------------


class Conversation:
    """A request to the service, for who has the whole body and wants the response piece by piece."""

    def __init__(self, service: Service, scope: Scope, body: bytes) -> None:
        self._service = service
        self._scope = scope
        self._requests: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]
        self._messages: asyncio.Queue[Message | None] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> Message:
        """`http.response.start`."""
        self._task = asyncio.create_task(self._run())
        message = await self._messages.get()
        if message is None:
            await self._task  # raises what went wrong
            raise RuntimeError("the service ended without a response")
        return message

    async def rest(self) -> AsyncIterator[bytes]:
        """The body. Whoever stops early ends the conversation."""
        try:
            while (message := await self._messages.get()) is not None:
                yield message.get("body", b"")
        finally:
            await self.end()

    async def end(self) -> None:
        task = self._task
        if task is not None and not task.done():
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _run(self) -> None:
        try:
            await self._service(self._scope, self._receive, self._send)
        finally:
            self._messages.put_nowait(None)

    async def _receive(self) -> Message:
        return self._requests.pop() if self._requests else await asyncio.Future[Any]()

    async def _send(self, message: Message) -> None:
        self._messages.put_nowait(message)
