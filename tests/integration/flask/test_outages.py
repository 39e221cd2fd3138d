"""The store is away: 503 with Retry-After, never a log-out, never a cookie, and nothing for those who do not use the session."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from sessile.integrations.flask import get_current_user_id, require_authentication, session
from sessile.stores.sql import database as sqlite_database
from sessile.testing.shows import shows, shows_security
from tests.integration.flask.conftest import with_routes
from tests.integration.flask.site import Site, set_cookies, site, token_of


def with_requirement(made: Site) -> Site:
    @made.app.get("/need")
    @require_authentication
    def need():
        return str(get_current_user_id())

    @made.app.post("/forgive")
    def forgive():
        try:
            session["a"] = 1
        except Exception:  # noqa: BLE001 - what an application does, and should not
            return "as if nothing had happened"
        return ""

    return with_routes(made)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waiting for a lock is the same after 50 ms as after five seconds."""
    monkeypatch.setattr(sqlite_database, "_BUSY_TIMEOUT_MS", 50)


@shows_security("V16.5.2")
@shows("A12", "http")
def test_an_outage_is_503_and_not_a_logout(database_url: str) -> None:
    with site(database_url) as made:
        client = with_requirement(made).client()
        client.post("/login/ann")
        token = token_of(client)
        made.store.is_away = True
        for method, path in (
            ("GET", "/me"),
            ("GET", "/need"),
            ("POST", "/set/a/1"),
            ("POST", "/login/bob"),
            ("POST", "/logout"),
        ):
            response = client.open(path, method=method)
            assert (response.status_code, response.json["code"]) == (503, "store_unavailable"), path
            assert response.headers["Retry-After"] == "2"
            assert set_cookies(response) == []
        assert client.get("/quiet").text == "here"
        assert client.get("/static/site.css", buffered=True).status_code == 200
        made.store.is_away = False
        assert token_of(client) == token
        assert client.get("/need").text == "ann"


def test_visitors_without_a_cookie_are_served_during_an_outage(here: Site) -> None:
    here.client().get("/quiet")
    here.manager.open()
    here.store.is_away = True
    assert here.client().get("/me").json["reason"] == "no_cookie"
    response = here.client().post("/set/a/1")
    assert (response.status_code, set_cookies(response)) == (503, [])


def test_activity_that_could_not_be_written_refuses_nobody(here: Site, caplog: pytest.LogCaptureFixture) -> None:
    client = here.client()
    client.post("/login/ann")
    here.clock.advance(here.manager.settings.idle_timeout_s / 2)
    inner = here.store.write

    async def away(work: Any, *args: Any) -> Any:
        if work.__name__ == "_touch":
            here.store.is_away = True
        return await inner(work, *args)

    here.store.write = away  # type: ignore[method-assign]
    assert client.get("/me").json["user"] == "ann"
    assert "last activity" in caplog.text


@pytest.mark.usefixtures("impatient")
def test_a_locked_file(tmp_path: Path) -> None:
    path = tmp_path / "sessile.db"
    with site(f"sqlite:///{path}") as made:
        client = with_requirement(made).client()
        client.post("/login/ann")
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            response = client.post("/set/a/1")
            assert (response.status_code, response.headers["Retry-After"], set_cookies(response)) == (503, "2", [])
            assert client.get("/me").json["user"] == "ann", "reading goes on (WAL)"
            other.execute("ROLLBACK")
        assert client.post("/set/a/2").status_code == 200
        assert client.get("/me").json["data"] == {"a": "2"}


def test_a_database_that_is_not_there_yet(tmp_path: Path) -> None:
    """No restart is needed."""
    folder = tmp_path / "later"
    with site(f"sqlite:///{folder / 'sessile.db'}") as made:
        client = with_requirement(made).client()
        refused = client.post("/set/a/1")
        assert (refused.status_code, refused.json["code"]) == (500, "configuration")
        assert client.get("/quiet").status_code == 200
        folder.mkdir()
        assert client.post("/set/a/1").status_code == 200
