"""The session for any ASGI application: loads it, commits what changed before the first byte, and says what caches must know.

A response carries `Vary: Cookie` and `Cache-Control: private, no-store` exactly when the request used the session, and `Set-Cookie`
exactly when the token changed in it. So a late response cannot overwrite the cookie of a newer log-in, and no cache can hand one
person's page to another.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from http import HTTPStatus
from typing import Final

from sessile.model.errors import ConfigurationError, SessileError
from sessile.runtime.manager import AsyncSessionManager
from sessile.web import trace
from sessile.web.asgi import App, Message, Receive, Scope, Send, path_within
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
_WITH_SESSION: Final = frozenset({"http", "websocket"})
_LAST_MESSAGES: Final = frozenset({"http.response.body", "http.response.pathsend", "http.response.zerocopysend"})


class SessionMiddleware:
    """Puts a WebSession into `scope["session"]` (and under a name of its own, which no other middleware takes). Errors of ours that a
    handler raises become problem responses. Opens the manager at the first request when nobody has.

    `without_session`: paths, with all below them, that get no session and cost nothing, whatever cookie comes: files, say. What they serve must not ask
    for one. `peer_left`: exceptions by which a framework tells a socket's handler that the peer has gone; such an end is an ordinary one.
    """

    def __init__(
        self,
        app: App,
        manager: AsyncSessionManager,
        *,
        peer_left: tuple[type[BaseException], ...] = (),
        without_session: Sequence[str] = (),
    ) -> None:
        self._app = app
        self._manager = manager
        self._cookies = CookiePolicy(manager.settings)
        self._origins = OriginPolicy(manager.settings)
        self._peer_left = peer_left
        self._without = [_checked(path) for path in without_session]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = scope["type"]
        if kind not in _WITH_SESSION or SCOPE_KEY in scope or (self._without and self._is_without(scope)):
            await self._pass_on(scope, receive, send)
            return
        loaded = await load(self._manager, self._cookies, scope)
        is_traced = trace.is_on()
        if is_traced:
            trace.loaded(scope, loaded)
        session = WebSession(self._manager, self._cookies, scope, loaded)
        scope["session"] = scope[SCOPE_KEY] = session
        scope[ORIGINS_KEY] = self._origins
        before = CURRENT.set(session)
        try:
            if kind == "websocket":
                await self._hold(scope, receive, send, session)
                return
            answer = _Answer(scope, session, send, is_traced=is_traced)
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
        finally:
            CURRENT.reset(before)
            session.leave_request()

    def _is_without(self, scope: Scope) -> bool:
        path = path_within(scope)
        return any(path == without or path.startswith(without + "/") for without in self._without)

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        """What gets no session here."""
        await self._app(scope, receive, send)

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
                logger.exception(
                    "What a socket's handler changed in the session is not saved: %s",
                    error.code,
                    extra={"event_name": "session_unsaved"},
                )
                raise
            can_answer = "websocket.http.response" in (scope.get("extensions") or {})
            await refuse_socket(error, send, accepted=socket.accepted, can_answer=can_answer)


def _checked(path: str) -> str:
    if not path.startswith("/") or path == "/":
        raise ConfigurationError(f"without_session: {path!r} is no part of a site; write it like /static")
    return path.rstrip("/")


class _Answer:
    """Stands between the application and the server: commits before the first byte, and replaces the response when that fails."""

    __slots__ = ("_is_traced", "_replaced", "_scope", "_send", "_session", "started")

    def __init__(self, scope: Scope, session: WebSession, send: Send, *, is_traced: bool) -> None:
        self._is_traced = is_traced
        self._scope = scope
        self._session = session
        self._send = send
        self._replaced = False
        self.started = False

    async def send(self, message: Message) -> None:
        if self._replaced:
            return
        session, kind = self._session, message["type"]
        if kind == "http.response.start":
            if session.needs_commit and not await self._is_committed():
                return
            if session.accessed:
                await session.touch()
                headers = private(message.get("headers", ()))
                message = {**message, "headers": headers + of_session(session) if session.adds_headers else headers}
            if self._is_traced:
                trace.done(self._scope, session, status=message["status"])
            self.started = True
            session.start()
            await self._send(message)
            return
        await self._send(message)
        if kind in _LAST_MESSAGES and not message.get("more_body", False):
            session.finish()

    async def _is_committed(self) -> bool:
        session = self._session
        try:
            await session.commit_for_response()
        except SessileError as error:
            self.started = self._replaced = True
            if (
                error.http_status < HTTPStatus.INTERNAL_SERVER_ERROR
            ):  # the application stored it, so it is for its log too
                logger.exception(
                    "The session could not be saved: %s", error.code, extra={"event_name": "session_unsaved"}
                )
            trace.done(self._scope, session, error=error)
            session.discard()
            session.start()
            await send_problem(error, self._send, cookie_of(session))
            session.finish()
            return False
        return True


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
