"""What the middleware says it decided: two lines a request for who asks for them, with nothing secret, and nothing at all otherwise."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fastapi import WebSocket, WebSocketDisconnect

from sessile.integrations.fastapi import CurrentSession
from sessile.model.errors import SessionEnded
from sessile.testing import shows
from sessile.testing.shows import shows_security
from sessile.web import trace
from tests.integration.fastapi.site import Site, site, token_of
from tests.integration.fastapi.test_sockets import Peer


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Iterator[Callable[[], list[str]]]:
    """What was traced since the last call."""

    def told() -> list[str]:
        traced = [record.getMessage() for record in caplog.records if record.name == "sessile.web.trace"]
        caplog.clear()
        return traced

    with caplog.at_level(logging.DEBUG, "sessile.web.trace"):
        yield told


def with_routes(here: Site) -> Site:
    app = here.app

    @app.post("/login/{name}")
    async def login(name: str, session: CurrentSession):
        await session.login(name)

    @app.post("/logout")
    async def logout(session: CurrentSession):
        await session.logout()

    @app.get("/quiet")
    async def quiet():
        return "nothing"

    @app.post("/two")
    async def two(session: CurrentSession):
        session["basket"] = "private facts"
        await session.save()
        session["more"] = 1

    @app.post("/refused")
    async def refused(session: CurrentSession):
        session["basket"] = 1
        raise SessionEnded("revoked")

    @app.post("/unkeepable")
    async def unkeepable(session: CurrentSession):
        session["basket"] = object()

    @app.websocket("/mine")
    async def mine(socket: WebSocket, session: CurrentSession):
        session.require_user()

    @app.websocket("/patient")
    async def patient(socket: WebSocket, session: CurrentSession):
        await socket.accept()
        session["heard"] = await socket.receive_text()
        await socket.receive_text()

    @app.websocket("/live")
    async def live(socket: WebSocket, session: CurrentSession):
        session["seen"] = True
        await socket.accept()
        await socket.close()

    return here


@shows("D01", "http")
async def test_a_request_is_two_lines(lines: Callable[[], list[str]]) -> None:
    async with site() as here, with_routes(here).client() as client:
        await client.get("/quiet?token=in-the-query")
        assert lines() == [
            "GET '/quiet': by none: no session (no_cookie)",
            "GET '/quiet': answered 200: session none, not used, operations committed: 0, set-cookie: no",
        ]
        await client.post("/login/ann")
        handle = (await here.record(token_of(client))).session_id[-8:]
        assert lines()[1] == (
            f"POST '/login/ann': answered 200: session {handle}, used, operations committed: 0, set-cookie: yes"
        )
        await client.post("/two")
        assert lines() == [
            f"POST '/two': by cookie: session {handle}, current",
            f"POST '/two': answered 200: session {handle}, used, operations committed: 2, set-cookie: no",
        ]
        token = token_of(client)
        await here.client().get("/quiet", headers={"authorization": f"Bearer {token}"})
        assert lines()[0] == f"GET '/quiet': by bearer: session {handle}, current"
        await client.post("/logout")
        assert lines()[1].endswith("answered 200: session none, used, operations committed: 0, set-cookie: yes")
        await here.client().get("/quiet", headers={"cookie": f"sessile={token}"})
        assert lines()[0] == "GET '/quiet': by cookie: no session (ended:logout)"


async def test_a_first_write_and_what_could_not_be_saved_are_told(lines: Callable[[], list[str]]) -> None:
    async with site() as here, with_routes(here).client() as client:
        await client.post("/two")
        assert re.search(r"session [0-9a-f]{8}, used, operations committed: 2, set-cookie: yes", lines()[1])
        await client.post("/refused")
        assert "refused with 401 session_ended: session" in lines()[1]
        await client.post("/unkeepable")
        assert "refused with 422 invalid_value: session" in lines()[1]
        here.store.is_away = True
        await client.get("/quiet")
        assert lines()[0] == "GET '/quiet': by cookie: cannot look (store_unavailable)"


@shows("D01", "socket")
async def test_a_socket_is_two_lines(lines: Callable[[], list[str]]) -> None:
    async with site() as here:
        with_routes(here)
        issued = await here.manager.create_session("ann")
        peer = Peer(here, "/live", ("cookie", f"sessile={issued.token}"))
        await peer.task
        handle = issued.session.session_id[-8:]
        assert lines() == [
            f"WEBSOCKET '/live': by cookie: session {handle}, current",
            f"WEBSOCKET '/live': handler ended: session {handle}, used, operations committed: 1, set-cookie: no",
        ]


async def test_the_end_of_a_socket_is_told_however_it_comes(lines: Callable[[], list[str]]) -> None:
    async with site() as here:
        with_routes(here)
        await Peer(here, "/mine").task
        assert lines()[1].startswith("WEBSOCKET '/mine': refused with 401 authentication_required: session none, used")
        issued = await here.manager.create_session("ann")
        peer = Peer(here, "/patient", ("cookie", f"sessile={issued.token}"))
        await peer.hear()
        peer.say("hello")
        peer.leave()
        with pytest.raises(WebSocketDisconnect):
            await peer.task
        assert "handler ended: session" in lines()[1]


@shows_security("V16.2.5", "V16.4.1", "V-15")
async def test_nothing_secret_is_traced_and_no_line_can_be_forged(lines: Callable[[], list[str]]) -> None:
    async with site() as here, with_routes(here).client() as client:
        await client.post("/login/ann@example.org")
        token = token_of(client)
        lines()
        await client.post("/two?secret=query")
        await client.get("/quiet%0AGET '/quiet': by cookie: session 00000000, current")
        text = "\n".join(lines())
        handle, secret = token.split(".")
        for hidden in (handle, secret, "ann@example.org", "private facts", "query"):
            assert hidden not in text
        assert len(text.splitlines()) == 4


async def test_nothing_is_made_when_nobody_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    def planted(*_: Any) -> str:
        raise AssertionError("a line was made for nobody")

    monkeypatch.setattr(trace, "_request", planted)
    async with site() as here, with_routes(here).client() as client:
        assert (await client.post("/two")).status_code == 200
        assert (await client.post("/refused")).status_code == 401
