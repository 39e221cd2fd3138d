"""Sessions in Django Channels: `scope["session"]` is looked up before a consumer starts, and its socket is closed when the session ends.

    application = with_service(ProtocolTypeRouter({
        "http": get_asgi_application(),
        "websocket": AllowedHostsOriginValidator(SessionSocket(AuthMiddleware(URLRouter([...])))),
    }))

It stands in the place of Channels' own `SessionMiddlewareStack`. Channels itself is not imported here.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

from sessile.integrations.django.process import here
from sessile.integrations.django.service import manager_here
from sessile.integrations.django.store import SessionStore
from sessile.model.errors import SessileError, SessionEnded, SessionExpired, SessionNotFound
from sessile.model.events import Event, EventKind
from sessile.web.asgi import App, Message, Receive, Scope, Send
from sessile.web.problems import refuse_socket

logger = logging.getLogger("sessile.web")
ENDED: Final = 4501
"""Close code of an ended session, as in protocol/codes.json; an expired one has 4502."""
EXPIRED: Final = 4502
_REASONS: Final = {ENDED: "session_ended", EXPIRED: "session_expired"}
_LOOK_INTERVAL_S: Final = 20.0


class SessionSocket:
    """ASGI middleware for sockets. The consumer gets `scope["session"]`, a SessionStore that is read already, so `scope["session"].user_id` and
    `scope["session"]["key"]` need no await; `await scope["session"].asave()` saves. An outage at the handshake refuses the socket with 503.

    The end of the session closes it within moments where the commit is heard of, and at the latest when the session is looked at again
    (`look_interval_s`); an expiry likewise."""

    def __init__(self, inner: App, *, look_interval_s: float = _LOOK_INTERVAL_S) -> None:
        self._inner = inner
        self._look_interval_s = look_interval_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "websocket":
            await self._inner(scope, receive, send)
            return
        process = here()
        seen = _readable(scope)
        session = SessionStore.of_request(process, seen, process.cookies.read(seen).token)
        try:
            await session.aload()
            if session.wants_work(saves_always=False):
                await process.in_thread(session._core.note_activity)
        except SessileError as error:
            can_answer = "websocket.http.response" in (scope.get("extensions") or {})
            await receive()  # websocket.connect
            await refuse_socket(error, send, accepted=False, can_answer=can_answer)
            return
        watched = _Watched(session, receive, send)
        watching = asyncio.create_task(watched.watch(self._look_interval_s))
        try:
            await self._inner({**scope, "session": session}, watched.receive, watched.send)
        finally:
            watching.cancel()
            with suppress(asyncio.CancelledError):
                await watching


def _readable(scope: Scope) -> Scope:
    """What of the handshake decides about its session. Over a socket none can begin, and no token can be given."""
    return {
        "type": "websocket",
        "method": "GET",
        "path": scope["path"],
        "headers": [(name.lower(), value) for name, value in scope["headers"]],
    }


class _Watched:
    """Stands between the consumer and the server, and ends both when the session does."""

    def __init__(self, session: SessionStore, receive: Receive, send: Send) -> None:
        self._handle = session.handle
        self._receive = receive
        self._send = send
        self._ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._is_closed = False

    async def watch(self, look_interval_s: float) -> None:
        """Until the session is over. A visitor without one has nothing that could end."""
        handle = self._handle
        if handle is None:
            return
        try:
            manager = await manager_here()
        except SessileError as error:
            logger.warning(
                "The end of a socket's session will not be heard of: %s",
                error.code,
                extra={"event_name": "socket_end_unheard"},
            )
            return

        def heard(events: Sequence[Event]) -> None:
            for event in events:
                if event.kind is EventKind.SESSION_ENDED and event.key == handle:
                    self._end(EXPIRED if event.detail == "expired" else ENDED)

        stop = manager.subscribe(heard)
        try:
            while not self._ended.done():
                await self._look(manager, handle)
                await asyncio.wait([self._ended], timeout=look_interval_s)
        finally:
            stop()

    async def _look(self, manager: Any, handle: str) -> None:
        """News can be lost, and nobody tells of a deadline. An outage ends nothing."""
        try:
            await manager.get_session(handle)
        except (SessionEnded, SessionNotFound):
            self._end(ENDED)
        except SessionExpired:
            self._end(EXPIRED)
        except SessileError as error:
            logger.info(
                "A socket's session could not be looked at: %s",
                error.code,
                extra={"event_name": "socket_session_unread"},
            )

    def _end(self, code: int) -> None:
        if not self._ended.done():
            self._ended.set_result(code)

    async def receive(self) -> Message:
        if self._is_closed:
            return {"type": "websocket.disconnect", "code": self._ended.result()}
        coming = asyncio.ensure_future(self._receive())
        try:
            both: list[asyncio.Future[Any]] = [coming, self._ended]
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            if coming.done():
                return coming.result()
        finally:
            if not coming.done():
                coming.cancel()
        self._is_closed = True
        code = self._ended.result()
        await self._send({"type": "websocket.close", "code": code, "reason": _REASONS[code]})
        return {"type": "websocket.disconnect", "code": code}

    async def send(self, message: Message) -> None:
        """Behind the close nothing goes out any more."""
        if not self._is_closed:
            await self._send(message)
