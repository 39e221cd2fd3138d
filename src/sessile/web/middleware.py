"""The session for any ASGI application: loads it, commits what changed before the first byte, and says what caches must know.

A response carries `Vary: Cookie` and `Cache-Control: private, no-store` exactly when the request used the session, and `Set-Cookie`
exactly when the token changed in it. So a late response cannot overwrite the cookie of a newer log-in, and no cache can hand one
person's page to another.
"""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import Final

from sessile.model.errors import SessileError
from sessile.runtime.manager import AsyncSessionManager
from sessile.web import trace
from sessile.web.asgi import App, Message, Receive, Scope, Send
from sessile.web.cookies import CookiePolicy
from sessile.web.current import CURRENT
from sessile.web.loading import load
from sessile.web.origins import OriginPolicy
from sessile.web.private import cookie_of, of_session, private
from sessile.web.problems import refuse_socket, send_problem
from sessile.web.session import WebSession

logger = logging.getLogger("sessile.web")
SCOPE_KEY: Final = "sessile.session"
ORIGINS_KEY: Final = "sessile.origins"
_LAST_MESSAGES: Final = frozenset({"http.response.body", "http.response.pathsend", "http.response.zerocopysend"})


class SessionMiddleware:
    """Puts a WebSession into `scope["session"]` (and under a name of its own, which no other middleware takes). Errors of ours that a
    handler raises become problem responses. Opens the manager at the first request when nobody has.

    `peer_left`: exceptions by which a framework tells a socket's handler that the peer has gone; such an end is an ordinary one.
    """

    def __init__(
        self, app: App, manager: AsyncSessionManager, *, peer_left: tuple[type[BaseException], ...] = ()
    ) -> None:
        self._app = app
        self._manager = manager
        self._cookies = CookiePolicy(manager.settings)
        self._origins = OriginPolicy(manager.settings)
        self._peer_left = peer_left

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in {"http", "websocket"} or SCOPE_KEY in scope:
            await self._app(scope, receive, send)
            return
        loaded = await load(self._manager, self._cookies, scope)
        trace.loaded(scope, loaded)
        session = WebSession(self._manager, self._cookies, scope, loaded)
        scope["session"] = scope[SCOPE_KEY] = session
        scope[ORIGINS_KEY] = self._origins
        before = CURRENT.set(session)
        try:
            if scope["type"] == "http":
                await self._respond(scope, receive, send, session)
            else:
                await self._hold(scope, receive, send, session)
        finally:
            CURRENT.reset(before)

    async def _respond(self, scope: Scope, receive: Receive, send: Send, session: WebSession) -> None:
        answer = _Answer(scope, session, send)
        try:
            await self._app(scope, receive, answer.send)
        except SessileError as error:  # nothing was committed, so nothing that the handler changed is saved
            if answer.started:
                raise
            trace.done(scope, session, error=error)
            await send_problem(error, send, cookie_of(session))
        else:
            if answer.started:
                session.tell_of_late_changes()

    async def _hold(self, scope: Scope, receive: Receive, send: Send, session: WebSession) -> None:
        socket = _Socket(session, receive, send)
        try:
            try:
                await self._app(scope, socket.receive, socket.send)
            except self._peer_left:
                await session.commit_for_response()
                trace.done(scope, session)
                raise
            await session.commit_for_response()
            trace.done(scope, session)
        except SessileError as error:
            trace.done(scope, session, error=error)
            if socket.is_over:
                logger.exception("What a socket's handler changed in the session is not saved: %s", error.code)
                raise
            can_answer = "websocket.http.response" in (scope.get("extensions") or {})
            await refuse_socket(error, send, accepted=socket.accepted, can_answer=can_answer)


class _Answer:
    """Stands between the application and the server: commits before the first byte, and replaces the response when that fails."""

    def __init__(self, scope: Scope, session: WebSession, send: Send) -> None:
        self._scope = scope
        self._session = session
        self._send = send
        self._replaced = False
        self.started = False

    async def send(self, message: Message) -> None:
        if self._replaced:
            return
        if message["type"] == "http.response.start":
            await self._start(message)
            return
        await self._send(message)
        if message["type"] in _LAST_MESSAGES and not message.get("more_body", False):
            self._session.finish()

    async def _start(self, message: Message) -> None:
        session = self._session
        try:
            await session.commit_for_response()
        except SessileError as error:
            self.started = self._replaced = True
            if (
                error.http_status < HTTPStatus.INTERNAL_SERVER_ERROR
            ):  # the application stored it, so it is for its log too
                logger.exception("The session could not be saved: %s", error.code)
            trace.done(self._scope, session, error=error)
            session.discard()
            session.start()
            await send_problem(error, self._send, cookie_of(session))
            session.finish()
            return
        if session.accessed:
            await session.touch()
            headers = [*private(message.get("headers", ())), *of_session(session)]
            message = {**message, "headers": headers}
        trace.done(self._scope, session, status=message["status"])
        self.started = True
        session.start()
        await self._send(message)


class _Socket:
    """Watches how far a WebSocket has come."""

    def __init__(self, session: WebSession, receive: Receive, send: Send) -> None:
        self._session = session
        self._receive = receive
        self._send = send
        self.accepted = False
        self.is_over = False

    async def receive(self) -> Message:
        message = await self._receive()
        self.is_over = self.is_over or message["type"] == "websocket.disconnect"
        return message

    async def send(self, message: Message) -> None:
        kind = message["type"]
        if kind == "websocket.accept":
            await self._session.touch()
        await self._send(message)
        self.accepted = self.accepted or kind == "websocket.accept"
        self.is_over = self.is_over or kind in {"websocket.close", "websocket.http.response.start"}
