"""The handshake: who may have a socket. What is refused is refused before it is accepted."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Final

from sessile.model.errors import AuthenticationRequired, SessileError
from sessile.model.session import Session
from sessile.server.access import Access
from sessile.server.realtime import messages
from sessile.server.realtime.codes import CloseCode
from sessile.server.realtime.connection import Connection
from sessile.server.realtime.frames import SUBPROTOCOL
from sessile.server.realtime.hub import Hub
from sessile.server.realtime.places import OF_ADDRESS, OF_USER, address_of, owner_of, paced, taken
from sessile.server.refusals import Draining, ForeignSession, NoSuchPage, TooMany
from sessile.web.asgi import Receive, Scope, Send, bearer_token
from sessile.web.problems import refuse_socket

_PATH: Final = re.compile(r"/ws(?:/session/([^/]{1,64}))?/?")


class SocketEndpoint:
    """`/ws`, and `/ws/session/{handle}` for a session that must be the caller's."""

    def __init__(self, hub: Hub, access: Access, ready: Callable[[], Awaitable[None]]) -> None:
        self._hub = hub
        self._access = access
        self._ready = ready

    async def __call__(self, scope: Scope, receive: Receive, send: Send, path: str) -> None:
        """`scope` is of a websocket; `path` is without the prefix that the service is mounted at."""
        await receive()  # websocket.connect
        held: list[Callable[[], None]] = []
        try:
            try:
                match = _PATH.fullmatch(path)
                if match is None:
                    raise NoSuchPage
                address = address_of(scope)
                held.append(taken(self._hub.by_address, address, OF_ADDRESS))
                session = await self._admit(scope, match[1])
                if session is None:
                    held.append(self._reserve(address))
                else:
                    held.append(taken(self._hub.by_user, owner_of(session), OF_USER))
            except SessileError as error:
                can_answer = "websocket.http.response" in scope.get("extensions", {})
                await refuse_socket(error, send, accepted=False, can_answer=can_answer)
                return
            await self._serve(scope, receive, send, session, match[1], held)
        finally:
            for give_back in held:
                give_back()

    async def _admit(self, scope: Scope, named_session: str | None) -> Session | None:
        """The session of the cookie or the Authorization header; None when there is neither and the hello must bring a token."""
        if self._hub.draining:
            raise Draining
        has_cookie = self._access.has_cookie(scope)
        self._access.origins.check_socket(scope, has_token=not has_cookie or bearer_token(scope["headers"]) is not None)
        await self._ready()
        self._hub.start()
        seen = await self._access.look(scope)
        if seen.session is None and not seen.is_bearer and not has_cookie:
            return None
        if seen.session is None:
            raise AuthenticationRequired(seen.reason)
        if named_session not in (None, seen.session.session_id):
            raise ForeignSession
        return seen.session

    def _reserve(self, address: str) -> Callable[[], None]:
        """Takes one of the few places for sockets without a credential; returns the way to give it back, once. Raises TooMany."""
        if not self._hub.reserve_unproven(address):
            raise TooMany("Too many connections of this address have not shown who they are.")
        is_held = True

        def release() -> None:
            nonlocal is_held
            if is_held:
                is_held = False
                self._hub.free_unproven(address)

        return release

    async def _serve(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        session: Session | None,
        named_session: str | None,
        held: list[Callable[[], None]],
    ) -> None:
        def proven() -> None:
            """The peer has shown who it is: it leaves the place of those who have not, and takes one of its own."""
            if session is not None:
                return
            held.pop()()
            try:
                held.append(taken(self._hub.by_user, owner_of(connection.session), OF_USER))
            except TooMany as error:
                connection.close(CloseCode.UNAVAILABLE, messages.error(error))

        connection = Connection(
            self._hub,
            scope,
            paced(receive, self._hub.settings.socket_frames_per_s),
            send,
            session=session,
            named_session=named_session,
            on_proven=proven,
        )
        if session is not None:
            connection.join(session)
        offered = scope.get("subprotocols") or ()
        try:
            await send({"type": "websocket.accept", "subprotocol": SUBPROTOCOL if SUBPROTOCOL in offered else None})
        except OSError:  # the peer left during the handshake
            connection.abandon()
            return
        if self._hub.draining:
            connection.close(CloseCode.DRAIN)
        await connection.run()
