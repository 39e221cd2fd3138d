"""Data in the store that cannot be read: the request is nobody's and says why, the log names the session, nothing is overwritten; and people get in and out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from sessile.integrations.fastapi import CurrentSession
from sessile.model.errors import SessionDamaged
from sessile.testing.shows import shows_security
from tests.integration.damaged import GARBAGE, damage, tells_of
from tests.integration.fastapi.site import Site, site


@asynccontextmanager
async def damaged(database_url: str, user_id: str | None = "ada") -> AsyncIterator[tuple[Site, httpx.AsyncClient, str]]:
    """An application, a browser whose session cannot be read, and its handle."""
    async with site(database_url) as here:

        @here.app.post("/login/{name}")
        async def login(name: str, session: CurrentSession) -> None:
            await session.login(name)

        @here.app.post("/logout")
        async def logout(session: CurrentSession) -> bool:
            return await session.logout()

        @here.app.post("/set/{key}")
        async def put(key: str, session: CurrentSession) -> None:
            session[key] = 1

        @here.app.get("/me")
        async def me(session: CurrentSession) -> dict[str, object]:
            return {"user": session.user_id, "data": dict(session), "reason": session.reason}

        @here.app.post("/leave")
        async def leave(session: CurrentSession) -> bool:
            assert session.get("a") is None
            return await session.logout()

        @here.app.get("/quiet")
        async def quiet() -> None:
            return None

        issued = await here.manager.create_session(user_id, data={"a": 1})
        await here.store.write(damage, issued.session.session_id)
        async with here.client() as client:
            client.cookies.set("sessile", issued.token, domain="testserver.local")
            yield here, client, issued.session.session_id


@shows_security("V-11")
async def test_who_comes_with_it_is_nobody_and_the_log_names_it(
    database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with damaged(database_url) as (here, client, handle):
        answer = await client.get("/me")
        assert answer.json() == {"user": None, "data": {}, "reason": "damaged"}
        assert "set-cookie" not in answer.headers
        assert any(tells_of(record, handle) for record in caplog.records)
        assert (await client.get("/quiet")).status_code == 200, "who does not use it is not disturbed"
        kept = await here.manager.get_session(handle)
        assert (kept.user_id, kept.data) == ("ada", GARBAGE)


async def test_a_write_begins_another_session_and_a_job_is_told(database_url: str) -> None:
    async with damaged(database_url) as (here, client, handle):
        assert (await client.post("/set/b")).status_code == 200
        assert (await client.get("/me")).json() == {"user": None, "data": {"b": 1}, "reason": "anonymous"}
        with pytest.raises(SessionDamaged):
            await here.manager.change_session_data(handle, [("set", ("b",), 2)], user_id="ada")
        assert (await here.manager.get_session(handle)).data == GARBAGE


@pytest.mark.parametrize("before", [None, "ada", "bob"])
async def test_a_login_begins_another_session(database_url: str, before: str | None) -> None:
    async with damaged(database_url, before) as (here, client, handle):
        assert (await client.post("/login/ada")).status_code == 200
        assert (await client.get("/me")).json() == {"user": "ada", "data": {}, "reason": None}
        kept = await here.store.read(lambda tx: tx.sessions.get(handle))
        assert (kept.user_id, kept.end_reason, kept.data) == (before, "superseded", GARBAGE)
        assert (await client.post("/set/b")).status_code == 200
        assert (await client.get("/me")).json()["data"] == {"b": 1}


@pytest.mark.parametrize("way", ["/logout", "/leave"])
async def test_a_logout_ends_it(database_url: str, way: str) -> None:
    async with damaged(database_url) as (here, client, handle):
        assert (await client.post(way)).json() is True
        assert (await client.get("/me")).json() == {"user": None, "data": {}, "reason": "no_cookie"}
        kept = await here.store.read(lambda tx: tx.sessions.get(handle))
        assert (kept.end_reason, kept.data) == ("logout", GARBAGE)
