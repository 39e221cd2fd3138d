"""Faults that other session layers had, and that must not come back (the numbers are those of the list of requirements)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from fastapi import Depends, FastAPI, Request, Response
from fastapi.responses import RedirectResponse
from sqlalchemy import event
from sqlalchemy.engine import Engine
from starlette.staticfiles import StaticFiles

from sessile.integrations.fastapi import CurrentSession, Sessile, require_user
from sessile.model import token as tokens
from sessile.testing.shows import shows_security
from tests.integration.fastapi.site import Site, site

FAMILIAR = ["/login", "/logout", "/admin/users", "/health", "/user_login", "/static/app.js", "/api/anything"]
UPGRADES: list[dict[str, Any]] = [
    {"params": {"transport": "polling"}},
    {"params": {"transport": "websocket", "EIO": "4"}},
    {"headers": {"upgrade": "websocket", "connection": "Upgrade"}},
    {"headers": {"sec-websocket-key": "x3JJHMbDL1EzLkh9GBhXDw=="}},
]


@asynccontextmanager
async def with_routes(database_url: str) -> AsyncIterator[Site]:
    async with site(database_url) as here:

        @here.app.post("/enter/{name}")
        async def enter(name: str, session: CurrentSession):
            await session.login(name)

        @here.app.get("/who")
        @here.app.get("/socket.io/")
        async def who(session: CurrentSession):
            return session.user_id

        @here.app.get("/mine", dependencies=[Depends(require_user)])
        async def mine():
            return "mine"

        yield here


@shows_security("V-9")
async def test_t60_an_unknown_id_is_one_look_by_its_key(tmp_path: Path) -> None:
    async with with_routes(f"sqlite:///{tmp_path / 's.db'}") as here, here.client() as client:
        for number in range(20):
            await here.manager.create_session(f"user {number}")
        unknown = tokens.make("01987c2e-0000-7000-8000-000000000000", bytes(32))
        client.cookies.set("sessile", unknown)
        seen: list[str] = []

        def look(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
            if "sessions" in statement:
                seen.append(statement)

        event.listen(Engine, "before_cursor_execute", look)
        try:
            assert (await client.get("/who")).json() is None
            client.cookies.set("sessile", unknown.upper())  # another case is another shape: never looked up
            assert (await client.get("/who")).json() is None
        finally:
            event.remove(Engine, "before_cursor_execute", look)
        [statement] = seen
        assert "WHERE sessions.session_id" in statement


@pytest.mark.parametrize("disguise", UPGRADES)
@pytest.mark.parametrize("path", ["/who", "/socket.io/"])
@shows_security("V-22", "V7.2.1")
async def test_t66_nothing_that_a_client_says_of_its_transport_leaves_the_session_out(
    database_url: str, path: str, disguise: dict[str, Any]
) -> None:
    async with with_routes(database_url) as here, here.client() as client, here.client() as nobody:
        await client.post("/enter/ann")
        assert (await client.get(path, **disguise)).json() == "ann"
        assert (await nobody.get(path, **disguise)).json() is None
        assert (await nobody.get("/mine", **disguise)).status_code == 401
        handle = (await here.sessions("ann"))[0].session_id
        await here.manager.destroy_session(handle)
        assert (await client.get("/mine", **disguise)).status_code == 401


@pytest.mark.parametrize("path", FAMILIAR)
@pytest.mark.parametrize("state", ["nobody", "unknown", "expired", "ended", "outage"])
@shows_security("V3.7.2")
async def test_t70_no_path_has_a_meaning_here_and_nobody_is_redirected(state: str, path: str) -> None:
    async with with_routes("memory://") as here, here.client() as client:

        @here.app.get(path)
        async def handler():
            return "reached"

        if state == "unknown":
            client.cookies.set("sessile", tokens.make("01987c2e-0000-7000-8000-000000000000", bytes(32)))
        elif state != "nobody":
            await client.post("/enter/ann")
        if state == "expired":
            here.clock.advance(10 * 86400)
        elif state == "ended":
            await here.manager.destroy_session((await here.sessions("ann"))[0].session_id)
        here.store.is_away = state == "outage"
        reached = await client.get(path)
        assert (reached.status_code, reached.json()) == (200, "reached")
        refused = await client.get("/mine")
        assert refused.status_code == (503 if state == "outage" else 401)
        assert "location" not in refused.headers


@pytest.mark.parametrize("named", [False, True])
async def test_t68_a_static_file_has_no_row_no_cookie_and_may_be_cached(named: bool, tmp_path: Path) -> None:
    """Named in `without_session` it costs nothing at all; else one look, as every request with a cookie does, and never a write."""
    (tmp_path / "app.js").write_text("1")
    async with with_routes("memory://") as here:
        files = FastAPI()
        Sessile(files, here.manager, without_session=["/static"] if named else [])
        files.mount("/static", StaticFiles(directory=tmp_path))
        transport = httpx.ASGITransport(app=files)
        async with (
            here.client() as client,
            httpx.AsyncClient(transport=transport, base_url=str(client.base_url)) as browser,
        ):
            await client.post("/enter/ann")
            browser.cookies.update(client.cookies)
            here.clock.advance(3600)  # activity would be written by now
            here.store.reads.clear()
            here.store.writes.clear()
            answer = await browser.get("/static/app.js")
            assert (answer.status_code, answer.text) == (200, "1")
            assert here.store.writes == []
            assert len(here.store.reads) == (0 if named else 1)
            assert "set-cookie" not in answer.headers
            assert "cookie" not in answer.headers.get("vary", "").lower()
            assert "private" not in answer.headers.get("cache-control", "")
            again = await browser.get("/static/app.js", headers={"if-none-match": answer.headers["etag"]})
            assert again.status_code == 304


async def test_t70_a_handler_for_everything_does_not_swallow_ours() -> None:
    async with with_routes("memory://") as here, here.client() as client:

        @here.app.exception_handler(Exception)
        async def everything(_request: Request, _error: Exception) -> Response:
            return RedirectResponse("/login")

        await client.post("/enter/ann")
        here.store.is_away = True
        for path in ("/who", "/mine"):
            answer = await client.get(path)
            assert (answer.status_code, answer.json()["code"]) == (503, "store_unavailable")
            assert "location" not in answer.headers
            assert "set-cookie" not in answer.headers


async def test_verbs_in_def_handlers_need_no_further_thread(database_url: str) -> None:
    """All threads are taken by handlers that wait for verbs: they hop to the loop, and none waits for another thread."""
    async with with_routes(database_url) as here, here.client() as client:

        @here.app.post("/busy/{name}")
        def busy(name: str, session: CurrentSession):
            session.login(name)
            session["n"] = 1
            session.save()
            session.rotate()
            return session.user_id

        limiter = anyio.to_thread.current_default_thread_limiter()
        before, limiter.total_tokens = limiter.total_tokens, 1
        try:
            async with asyncio.timeout(30):
                answers = await asyncio.gather(*(client.post(f"/busy/user {number}") for number in range(8)))
        finally:
            limiter.total_tokens = before
        assert sorted(answer.json() for answer in answers) == [f"user {number}" for number in range(8)]
