"""The application's own WebSocket endpoints: the session can be read, changed and saved; a cookie cannot be set."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from fastapi import Depends, FastAPI, WebSocket, WebSocketDisconnect

from sessile.integrations.fastapi import CurrentSession, require_same_origin, require_user
from sessile.model.errors import SessileError, SessionEnded
from sessile.testing import shows
from sessile.testing.shows import shows_security
from tests.integration.fastapi.site import Site, site


class Peer:
    """One socket, driven as a server would drive it."""

    def __init__(self, here: Site, path: str, *headers: tuple[str, str], can_answer: bool = True) -> None:
        self._to_app: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._from_app: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        scope = {
            "type": "websocket",
            "scheme": "ws",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "headers": [(b"host", b"testserver"), *((name.encode(), value.encode()) for name, value in headers)],
            "subprotocols": [],
            "state": {},
            "extensions": {"websocket.http.response": {}} if can_answer else {},
        }
        self.task = asyncio.create_task(here.app(scope, self._to_app.get, self._from_app.put))  # type: ignore[arg-type]
        self._to_app.put_nowait({"type": "websocket.connect"})

    def say(self, text: str) -> None:
        self._to_app.put_nowait({"type": "websocket.receive", "text": text})

    def leave(self) -> None:
        self._to_app.put_nowait({"type": "websocket.disconnect", "code": 1001})

    async def hear(self) -> dict[str, Any]:
        return await asyncio.wait_for(self._from_app.get(), 5)


def add_ordinary(app: FastAPI) -> None:
    @app.websocket("/count")
    async def count(socket: WebSocket, session: CurrentSession):
        await socket.accept()
        assert id(socket.session) == id(session)
        while await socket.receive_text() != "bye":
            session["count"] = session.get("count", 0) + 1
            await socket.send_text(f"{session.user_id} {session['count']}")
        await socket.close()

    @app.websocket("/patient")
    async def patient(socket: WebSocket, session: CurrentSession):
        await socket.accept()
        try:
            while True:
                session["heard"] = await socket.receive_text()
        except WebSocketDisconnect:
            return

    @app.websocket("/saving")
    async def saving(socket: WebSocket, session: CurrentSession):
        await socket.accept()
        session["saved"] = await socket.receive_text()
        await session.save()
        await socket.send_text("saved")
        await socket.receive_text()
        raise RuntimeError("planted")


def add_particular(app: FastAPI) -> None:
    @app.websocket("/mine")
    async def mine(socket: WebSocket, user_id: str = Depends(require_user)):
        await socket.accept()
        await socket.send_text(user_id)
        await socket.close()

    @app.websocket("/late")
    async def late(socket: WebSocket, session: CurrentSession):
        await socket.accept()
        session.require_user()

    @app.websocket("/own", dependencies=[Depends(require_same_origin)])
    async def own(socket: WebSocket):
        await socket.accept()
        await socket.close()

    @app.websocket("/verb/{verb}")
    async def verbs(verb: str, socket: WebSocket, session: CurrentSession):
        await socket.accept()
        try:
            if verb == "login":
                await session.login("bob")
            elif verb == "set":
                session["a"] = 1
            elif verb == "open":
                await session.documents.open("intake")
            else:
                await getattr(session, verb)()
        except SessileError as error:
            await socket.send_text(error.code)
        else:
            await socket.send_text("done")
        await socket.close()


@asynccontextmanager
async def with_sockets(database_url: str) -> AsyncIterator[Site]:
    async with site(database_url) as here:
        add_ordinary(here.app)
        add_particular(here.app)
        yield here


async def cookie_of(here: Site, user_id: str | None = "ann") -> tuple[str, str]:
    return ("cookie", f"sessile={(await here.manager.create_session(user_id)).token}")


async def data_of(here: Site, cookie: tuple[str, str]) -> str:
    return (await here.record(cookie[1].removeprefix("sessile="))).data.decode()


@shows("D01", "socket")
async def test_changes_are_committed_when_the_handler_ends(database_url: str) -> None:
    async with with_sockets(database_url) as here:
        cookie = await cookie_of(here)
        peer = Peer(here, "/count", cookie)
        accepted = await peer.hear()
        assert accepted["type"] == "websocket.accept"
        assert all(name.lower() != b"set-cookie" for name, _ in accepted.get("headers", ()))
        for number in (1, 2):
            peer.say("on")
            assert (await peer.hear())["text"] == f"ann {number}"
        assert await data_of(here, cookie) == "{}"
        peer.say("bye")
        await peer.task
        assert await data_of(here, cookie) == '{"count":2}'


@pytest.mark.parametrize("path", ["/patient", "/count"])
async def test_a_peer_that_leaves_is_an_ordinary_end(database_url: str, path: str) -> None:
    """Whether the handler catches the framework's exception for it or not."""
    async with with_sockets(database_url) as here:
        cookie = await cookie_of(here)
        peer = Peer(here, path, cookie)
        await peer.hear()
        peer.say("x")
        peer.leave()
        await asyncio.wait([peer.task])
        assert await data_of(here, cookie) == ('{"heard":"x"}' if path == "/patient" else '{"count":1}')


async def test_save_commits_at_once_and_a_failure_loses_only_what_came_after(database_url: str) -> None:
    async with with_sockets(database_url) as here:
        cookie = await cookie_of(here)
        peer = Peer(here, "/saving", cookie)
        await peer.hear()
        peer.say("x")
        assert (await peer.hear())["text"] == "saved"
        assert await data_of(here, cookie) == '{"saved":"x"}'
        peer.say("y")
        with pytest.raises(RuntimeError, match="planted"):
            await peer.task


async def test_save_says_that_the_session_is_over(database_url: str) -> None:
    async with with_sockets(database_url) as here:
        cookie = await cookie_of(here)
        peer = Peer(here, "/saving", cookie)
        await peer.hear()
        await here.manager.cleanup_user_sessions("ann")
        peer.say("x")
        assert await peer.hear() == {"type": "websocket.close", "code": 4501, "reason": "session_ended"}
        with pytest.raises(SessionEnded):
            await data_of(here, cookie)


async def test_what_a_socket_changed_in_an_ended_session_does_not_come_back(database_url: str) -> None:
    async with with_sockets(database_url) as here:
        cookie = await cookie_of(here)
        peer = Peer(here, "/count", cookie)
        await peer.hear()
        peer.say("on")
        await peer.hear()
        await here.manager.cleanup_user_sessions("ann")
        peer.say("bye")
        await peer.task
        with pytest.raises(SessionEnded):
            await data_of(here, cookie)


async def test_a_refusal_before_the_socket_opens_is_an_answer(database_url: str) -> None:
    async with with_sockets(database_url) as here:
        start, body = await refused(Peer(here, "/mine"))
        assert (start["type"], start["status"]) == ("websocket.http.response.start", 401)
        assert (b"content-type", b"application/problem+json") in start["headers"]
        assert b'"reason":"no_cookie"' in body["body"]
        peer = Peer(here, "/mine", can_answer=False)
        assert (await peer.hear())["type"] == "websocket.close"
        await peer.task
        peer = Peer(here, "/mine", await cookie_of(here))
        assert (await peer.hear())["type"] == "websocket.accept"
        assert (await peer.hear())["text"] == "ann"
        await peer.task


async def test_an_outage_at_the_handshake_is_503(database_url: str) -> None:
    async with with_sockets(database_url) as here:
        cookie = await cookie_of(here)
        here.store.is_away = True
        start, _ = await refused(Peer(here, "/mine", cookie))
        assert start["status"] == 503
        assert (b"retry-after", b"2") in start["headers"]


async def refused(peer: Peer) -> tuple[dict[str, Any], dict[str, Any]]:
    start, body = await peer.hear(), await peer.hear()
    await peer.task
    return start, body


async def test_a_refusal_after_the_socket_has_opened_is_a_close_code(database_url: str) -> None:
    async with with_sockets(database_url) as here:
        peer = Peer(here, "/late")
        assert (await peer.hear())["type"] == "websocket.accept"
        assert await peer.hear() == {"type": "websocket.close", "code": 4504, "reason": "authentication_required"}
        await peer.task


@shows_security("V4.4.2")
async def test_only_pages_of_the_own_origin_where_that_is_asked_for(database_url: str) -> None:
    async with with_sockets(database_url) as here:
        cookie = await cookie_of(here)
        for headers in ([cookie], [cookie, ("origin", "http://evil.example")]):
            start, _ = await refused(Peer(here, "/own", *headers))
            assert start["status"] == 403
        peer = Peer(here, "/own", cookie, ("origin", "http://testserver"))
        assert (await peer.hear())["type"] == "websocket.accept"
        await peer.task


@pytest.mark.parametrize(
    ("verb", "anonymous", "logged_in"),
    [
        ("login", "session_update_failed", "session_update_failed"),
        ("rotate", "session_read_only", "session_update_failed"),
        ("set", "session_read_only", "done"),
        ("open", "session_read_only", "done"),
        ("save", "session_read_only", "done"),
        ("logout", "done", "done"),
    ],
)
@shows_security("V4.4.4")
async def test_a_socket_cannot_give_the_browser_a_token(
    database_url: str, verb: str, anonymous: str, logged_in: str
) -> None:
    async with with_sockets(database_url) as here:
        for headers, expected in (([], anonymous), ([await cookie_of(here)], logged_in)):
            peer = Peer(here, f"/verb/{verb}", *headers)
            assert (await peer.hear())["type"] == "websocket.accept"
            assert (await peer.hear())["text"] == expected
            await peer.task
        assert len(await here.sessions("ann")) == (0 if verb == "logout" else 1)
        assert await here.sessions("bob") == []
