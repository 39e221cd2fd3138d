"""`flask.session` as a dict: what Flask's own and Flask-Session's users rely on."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import flask
import pytest
from flask import get_flashed_messages
from markupsafe import Markup

from sessile.integrations.flask import FlaskSession, SessileSessionInterface, current_session, session
from tests.integration.flask.site import Site, set_cookies, site, token_of

VALUES: dict[str, Any] = {
    "tuple": (1, ("a", b"\x00\xff")),
    "set": {1, 2},
    "frozenset": frozenset({"x"}),
    "bytes": b"\x00\xff",
    "markup": Markup("<b>safe</b>"),
    "uuid": uuid.UUID(int=7),
    "datetime": datetime(2026, 3, 1, 12, 0, 0, 5, tzinfo=UTC),
    "date": date(2026, 3, 1),
    "decimal": Decimal("1.10"),
    "nested": {"list": [1, (2, 3)], "~t": "tuple", "none": None},
    "text": "Zoë \U0001f600",
}


@pytest.mark.parametrize("name", VALUES)
def test_a_value_comes_back_as_what_it_was(here: Site, name: str) -> None:
    client = here.client()

    @here.app.post("/keep")
    def keep():
        session["kept"] = VALUES[name]
        return ""

    client.post("/keep")
    with client.session_transaction() as kept:
        assert kept["kept"] == VALUES[name]
        assert type(kept["kept"]) is type(VALUES[name])


def test_what_cannot_be_kept_is_told_with_its_place_and_nothing_is_saved(here: Site) -> None:
    client = here.client()

    @here.app.post("/keep")
    def keep():
        session["fine"] = 1
        session["a"] = {"b": [object()]}
        return ""

    response = client.post("/keep")
    assert (response.status_code, response.json["code"], response.json["path"]) == (422, "invalid_value", "/a/b/0")
    assert set_cookies(response) == []
    assert client.get("/me").json["data"] == {}


def test_the_proxy_is_our_object(here: Site) -> None:
    @here.app.get("/object")
    def look():
        proxy: Any = flask.session
        assert type(proxy._get_current_object()) is FlaskSession
        assert current_session() is proxy._get_current_object()
        return ""

    assert here.client().get("/object").status_code == 200


def test_nested_changes_are_kept_without_being_announced(here: Site) -> None:
    client = here.client()

    @here.app.post("/add/<sku>")
    def add(sku: str):
        session.setdefault("basket", {}).setdefault("lines", []).append(sku)
        return ""

    for sku in "ab":
        client.post(f"/add/{sku}")
    assert client.get("/me").json["data"] == {"basket": {"lines": ["a", "b"]}}


def test_the_methods_of_a_dict(here: Site) -> None:
    client = here.client()

    @here.app.post("/play")
    def play():
        session.update(a=1, b=2, c=3)
        assert session.pop("a") == 1
        assert session.pop("a", None) is None
        assert (len(session), bool(session), "b" in session, sorted(session)) == (2, True, True, ["b", "c"])
        assert session.copy() == {"b": 2, "c": 3}
        assert session.get("nothing") is None
        with pytest.raises(KeyError):
            session["nothing"]
        session.clear()
        assert dict(session) == {}
        session["d"] = 4
        return ""

    assert client.post("/play").status_code == 200
    assert client.get("/me").json["data"] == {"d": 4}


def test_new_modified_accessed_and_sid(here: Site) -> None:
    client = here.client()

    @here.app.post("/look")
    def look():
        found = current_session()
        seen = [found.accessed]
        was_new, was_modified = session.new, session.modified
        assert [*seen, found.accessed] == [False, True]
        session["n"] = session.get("n", 0) + 1
        assert session.modified
        session.modified = True  # needed nowhere, allowed everywhere
        return {"new": was_new, "modified": was_modified, "sid": session.sid, "handle": session.handle}

    first, second = client.post("/look").json, client.post("/look").json
    assert (first["new"], first["modified"], first["sid"]) == (True, False, None)
    assert (second["new"], second["modified"]) == (False, False)
    assert second["sid"] == second["handle"] == token_of(client).partition(".")[0] != token_of(client)


def test_modified_alone_saves_nothing(here: Site) -> None:
    @here.app.post("/mark")
    def mark():
        session.modified = True
        return ""

    response = here.client().post("/mark")
    assert (here.trips, set_cookies(response)) == ([], [])


def test_flashed_messages(here: Site) -> None:
    client = here.client()

    @here.app.post("/flash")
    def flash():
        flask.flash("saved", "info")
        flask.flash(Markup("<b>twice</b>"))
        return flask.redirect("/show")

    @here.app.get("/show")
    def show():
        return {"messages": get_flashed_messages(with_categories=True)}

    shown = client.post("/flash", follow_redirects=True)
    assert shown.json == {"messages": [["info", "saved"], ["message", "<b>twice</b>"]]}
    assert client.get("/show").json == {"messages": []}


@pytest.fixture(params=["none before", "one before"])
def flashing(request: pytest.FixtureRequest, database_url: str) -> Iterator[tuple[Site, Any]]:
    """An application whose requests to `/flash/<text>` and `/show` have all read the session before one of them is committed; and a browser."""
    meeting = threading.Barrier(2)
    with site(database_url) as here:

        @here.app.post("/begin")
        def begin() -> str:
            session["a"] = 1
            if request.param == "one before":
                flask.flash("before")
            return ""

        @here.app.post("/flash/<text>")
        def flash(text: str) -> str:
            flask.flash(text)
            meeting.wait(20)
            return ""

        @here.app.get("/show")
        def show() -> dict[str, Any]:
            found = get_flashed_messages()
            if flask.request.args.get("together"):
                meeting.wait(20)
            return {"messages": found}

        client = here.client()
        client.post("/begin")
        yield here, client


def at_once(here: Site, browser: Any, *requests: tuple[str, str]) -> None:
    """Requests of one browser, each in a thread of its own."""

    def send(request: tuple[str, str]) -> None:
        tab = here.client(cookies=False)
        method, path = request
        answer = tab.open(path, method=method, headers={"Cookie": f"sessile={token_of(browser)}"})
        assert answer.status_code == 200

    with ThreadPoolExecutor(len(requests)) as threads:
        list(threads.map(send, requests))


def test_messages_that_are_flashed_at_once_are_all_shown(flashing: tuple[Site, Any]) -> None:
    here, browser = flashing
    at_once(here, browser, ("POST", "/flash/one"), ("POST", "/flash/two"))
    shown = browser.get("/show").json["messages"]
    assert [text for text in shown if text != "before"] in (["one", "two"], ["two", "one"])
    assert browser.get("/show").json["messages"] == []


def test_a_message_that_comes_while_others_are_shown_is_shown_next(flashing: tuple[Site, Any]) -> None:
    here, browser = flashing
    at_once(here, browser, ("GET", "/show?together=1"), ("POST", "/flash/late"))
    assert browser.get("/show").json["messages"] == ["late"]


def max_age(cookie: str) -> int | None:
    found = [part.partition("=")[2] for part in cookie.split("; ") if part.startswith("Max-Age")]
    return int(found[0]) if found else None


def test_not_permanent_is_a_cookie_of_the_browser_session(here: Site) -> None:
    (cookie,) = set_cookies(here.client().post("/set/a/1"))
    assert max_age(cookie) is None


def test_permanent_is_kept_with_the_session(here: Site) -> None:
    client = here.client()

    @here.app.post("/stay/<int:how>")
    def stay(how: int):
        session.permanent = bool(how)
        return {"permanent": session.permanent}

    client.post("/set/a/1")
    before = token_of(client)
    (cookie,) = set_cookies(client.post("/stay/1"))
    assert max_age(cookie) == here.manager.settings.absolute_timeout_s
    assert token_of(client) == before, "it is the same credential with another age"
    assert set_cookies(client.post("/stay/1")) == [], "nothing changed"
    (cookie,) = set_cookies(client.post("/login/ann"))
    assert max_age(cookie) == here.manager.settings.absolute_timeout_s
    (cookie,) = set_cookies(client.post("/stay/0"))
    assert max_age(cookie) is None
    assert client.get("/me").json["data"] == {"a": "1", "_permanent": False}


def test_permanent_before_every_request_costs_nothing_where_nobody_has_a_session(here: Site) -> None:
    @here.app.before_request
    def stay() -> None:
        session.permanent = True

    client = here.client()
    assert set_cookies(client.get("/quiet")) == []
    assert here.trips == []
    (cookie,) = set_cookies(client.post("/set/a/1"))
    assert max_age(cookie) == here.manager.settings.absolute_timeout_s
    here.forget()
    response = client.get("/quiet")
    assert (set_cookies(response), here.writes, response.headers.get("Vary")) == ([], [], None)
    here.forget()
    client.get("/static/site.css", buffered=True)
    assert here.trips == []


def test_a_remembered_login_is_kept_by_the_browser(here: Site) -> None:
    @here.app.post("/remember")
    def remember():
        session.login("ann", remember=True)
        return ""

    (cookie,) = set_cookies(here.client().post("/remember"))
    assert max_age(cookie) == here.manager.settings.remember_timeout_s


def test_extend_sends_a_permanent_cookie_again(here: Site) -> None:
    client = here.client()

    @here.app.post("/extend")
    def extend():
        session.extend()
        return ""

    client.post("/login/ann")
    assert set_cookies(client.post("/extend")) == ["sessile=" + token_of(client) + "; Path=/; HttpOnly; SameSite=Lax"]
    with client.session_transaction() as kept:
        kept.permanent = True
    here.clock.advance(3600)
    (cookie,) = set_cookies(client.post("/extend"))
    assert max_age(cookie) == here.manager.settings.absolute_timeout_s - 3600


def test_regenerate_is_flask_sessions_name_for_a_new_token(here: Site) -> None:
    client = here.client()

    @here.app.post("/regenerate")
    def regenerate():
        interface: Any = here.app.session_interface
        interface.regenerate(session)
        return ""

    client.post("/set/a/1")
    before = token_of(client)
    client.post("/regenerate")
    assert token_of(client) != before
    assert token_of(client).partition(".")[0] == before.partition(".")[0]
    assert client.get("/me").json["data"] == {"a": "1"}


def test_the_interface_alone_is_enough() -> None:
    with site() as other:
        app = flask.Flask("alone")
        app.session_interface = SessileSessionInterface(other.manager)

        @app.post("/set")
        def put():
            session["a"] = 1
            return ""

        @app.get("/need")
        def need():
            return session.require_user()

        client: Any = app.test_client()
        (cookie,) = set_cookies(client.post("/set"))
        assert cookie.startswith("sessile=")
        assert app.session_interface.get_cookie_name(app) == "sessile"
        assert client.get("/need").json["code"] == "authentication_required"
        assert client.get("/api/session_state").status_code == 404
