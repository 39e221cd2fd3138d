"""A SQLite file that is really locked or broken: 503, never a log-out, never a cookie."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import pytest
from fastapi import FastAPI

from sessile.integrations.fastapi import CurrentSession, Sessile
from sessile.stores.sql import database as sqlite_database
from sessile.testing.shows import shows_security
from tests.integration.fastapi.site import Site, set_cookies, site, token_of


def with_routes(here: Site) -> Site:
    @here.app.post("/login/{name}")
    async def login(name: str, session: CurrentSession):
        await session.login(name)

    @here.app.post("/set/{value}")
    async def put(value: str, session: CurrentSession):
        session["a"] = value
        return "saved"

    @here.app.get("/me")
    async def me(session: CurrentSession):
        return [session.user_id, session.get("a")]

    @here.app.get("/quiet")
    async def quiet():
        return "here"

    return here


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waiting for a lock is the same after 50 ms as after five seconds."""
    monkeypatch.setattr(sqlite_database, "_BUSY_TIMEOUT_MS", 50)


@pytest.mark.usefixtures("impatient")
@shows_security("V16.5.2")
async def test_a_locked_file_is_an_outage_and_not_a_logout(tmp_path: Path) -> None:
    path = tmp_path / "sessile.db"
    async with site(f"sqlite:///{path}") as here, with_routes(here).client() as client:
        await client.post("/login/ann")
        token = token_of(client)
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            for path_ in ("/set/1", "/login/bob"):
                response = await client.post(path_)
                assert (response.status_code, response.headers["retry-after"]) == (503, "2")
                assert set_cookies(response) == []
            anonymous = await here.client().post("/set/1")
            assert (anonymous.status_code, set_cookies(anonymous)) == (503, [])
            assert (await client.get("/me")).json() == ["ann", None]  # WAL: reading goes on
            assert (await client.get("/quiet")).status_code == 200
            other.execute("ROLLBACK")
        assert token_of(client) == token
        assert (await client.post("/set/2")).status_code == 200
        assert (await client.get("/me")).json() == ["ann", "2"]


async def test_a_broken_file_is_an_outage_and_not_a_logout(tmp_path: Path) -> None:
    path = tmp_path / "sessile.db"
    async with site(f"sqlite:///{path}") as here, with_routes(here).client() as client:
        await client.post("/login/ann")
        headers = {"cookie": f"sessile={token_of(client)}"}
    sound = path.read_bytes()  # closing has moved the write-ahead log into the file
    path.write_bytes(b"this is no database" * 1000)
    app = FastAPI()
    sessile = Sessile(app, database_url=f"sqlite:///{path}")
    broken = with_routes(Site(app, sessile.manager, here.store, here.clock))
    async with broken.client() as client:
        for response in (await client.get("/me", headers=headers), await client.post("/set/1", headers=headers)):
            assert (response.status_code, response.json()["code"]) == (503, "store_unavailable")
            assert set_cookies(response) == []
        assert (await client.get("/quiet", headers=headers)).status_code == 200
        path.write_bytes(sound)
        response = await client.get("/me", headers=headers)  # no restart is needed
        assert (response.status_code, set_cookies(response)) == (200, [])
    await sessile.manager.close()
