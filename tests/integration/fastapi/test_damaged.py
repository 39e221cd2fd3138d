"""Data in the store that cannot be read: an error of the server that names the session, never a log-out and never an empty dict; and a way out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from sessile.integrations.fastapi import CurrentSession
from sessile.model.errors import SessionDamaged
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
            return {"user": session.user_id, "data": dict(session)}

        @here.app.get("/quiet")
        async def quiet() -> None:
            return None

        issued = await here.manager.create_session(user_id, data={"a": 1})
        await here.store.write(damage, issued.session.session_id)
        async with here.client() as client:
            client.cookies.set("sessile", issued.token, domain="testserver.local")
            yield here, client, issued.session.session_id


async def test_a_read_is_an_error_that_names_the_session(database_url: str, caplog: pytest.LogCaptureFixture) -> None:
    async with damaged(database_url) as (here, client, handle):
        answer = await client.get("/me")
        body = answer.json()
        assert (answer.status_code, body["code"], body["session_id"]) == (500, "session_damaged", handle)
        assert "set-cookie" not in answer.headers
        assert any(tells_of(record, handle) for record in caplog.records)
        assert (await client.get("/quiet")).status_code == 200, "who does not use it is not disturbed"
        assert (await here.manager.get_session(handle)).user_id == "ada"


async def test_a_write_is_refused_and_changes_nothing(database_url: str) -> None:
    async with damaged(database_url) as (here, client, handle):
        assert (await client.post("/set/b")).json()["code"] == "session_damaged"
        with pytest.raises(SessionDamaged):
            await here.manager.change_session_data(handle, [("set", ("b",), 2)], user_id="ada")
        assert (await here.manager.get_session(handle)).data == GARBAGE


@pytest.mark.parametrize("before", [None, "ada", "bob"])
async def test_a_login_begins_with_empty_data(database_url: str, before: str | None) -> None:
    async with damaged(database_url, before) as (_, client, _):
        assert (await client.post("/login/ada")).status_code == 200
        assert (await client.get("/me")).json() == {"user": "ada", "data": {}}
        assert (await client.post("/set/b")).status_code == 200
        assert (await client.get("/me")).json()["data"] == {"b": 1}


async def test_a_logout_ends_it(database_url: str) -> None:
    async with damaged(database_url) as (_, client, _):
        assert (await client.post("/logout")).json() is True
        assert (await client.get("/me")).json() == {"user": None, "data": {}}
