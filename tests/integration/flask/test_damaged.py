"""Data in the store that cannot be read: an error of the server that names the session, never a log-out and never an empty dict; and a way out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from flask_login import LoginManager, UserMixin, login_user

from sessile.integrations.flask import session
from sessile.runtime.lane import drive
from tests.integration.damaged import GARBAGE, damage, tells_of
from tests.integration.flask.conftest import with_routes
from tests.integration.flask.site import Site, set_cookies, site


@pytest.fixture
def here(database_url: str) -> Iterator[Site]:
    with site(database_url) as made:
        yield with_routes(made)


def damaged(here: Site, data: bytes = GARBAGE) -> tuple[Any, str]:
    """A browser whose session cannot be read, and its handle."""
    browser = here.client()
    assert browser.post("/login/ada").status_code == 200
    assert browser.post("/set/a/1").status_code == 200
    (known,) = here.sessions("ada")
    drive(here.store.write(damage, known.session_id, data))
    return browser, known.session_id


@pytest.mark.parametrize("data", [GARBAGE, b"[]", b'{"a":', b'{"a":{"~t":"unheard-of","v":1}}'])
def test_a_read_is_an_error_that_names_the_session(here: Site, data: bytes, caplog: pytest.LogCaptureFixture) -> None:
    browser, handle = damaged(here, data)
    answer = browser.get("/me")
    assert (answer.status_code, answer.json["code"], answer.json["session_id"]) == (500, "session_damaged", handle)
    assert set_cookies(answer) == []
    assert any(tells_of(record, handle) for record in caplog.records)
    assert [known.session_id for known in here.sessions("ada")] == [handle], "nobody was logged out"


def test_who_does_not_use_it_is_not_disturbed(here: Site) -> None:
    @here.app.before_request
    def always_permanent() -> None:
        session.permanent = True

    browser, _ = damaged(here)
    assert browser.get("/quiet").status_code == 200


def test_a_write_is_refused_and_changes_nothing(here: Site) -> None:
    browser, handle = damaged(here)
    assert browser.post("/set/b/2").json["code"] == "session_damaged"
    assert here.manager.get_session(handle).data == GARBAGE


@pytest.mark.parametrize("name", ["ada", "bob"])
def test_a_login_begins_with_empty_data(here: Site, name: str) -> None:
    browser, _ = damaged(here)
    assert browser.post(f"/login/{name}").status_code == 200
    assert browser.get("/me").json == {"user": name, "data": {}, "reason": None}
    assert browser.post("/set/b/2").status_code == 200
    assert browser.get("/me").json["data"] == {"b": "2"}


def test_an_anonymous_visitor_can_log_in(here: Site) -> None:
    @here.app.get("/handle")
    def handle() -> str:
        return session.handle or ""

    browser = here.client()
    browser.post("/set/a/1")
    drive(here.store.write(damage, browser.get("/handle").text))
    assert browser.get("/me").status_code == 500
    assert browser.post("/login/ada").status_code == 200
    assert browser.get("/me").json["data"] == {}


def test_a_logout_ends_it(here: Site) -> None:
    browser, _ = damaged(here)
    assert browser.post("/logout").json == {"ended": True}
    assert browser.get("/me").json == {"user": None, "data": {}, "reason": "no_cookie"}


def test_a_rotation_does_not_lose_the_cookie(here: Site) -> None:
    @here.app.post("/rotate")
    def rotate() -> str:
        session.rotate()
        return ""

    browser, _ = damaged(here)
    answer = browser.post("/rotate")
    assert answer.status_code == 200
    assert len(set_cookies(answer)) == 1


def test_a_login_of_flask_login(here: Site) -> None:
    manager = LoginManager(here.app)

    class User(UserMixin):  # type: ignore[misc]
        id = "ada"

    manager.user_loader(lambda user_id: User() if user_id == "ada" else None)

    @here.app.post("/enter")
    def enter() -> str:
        login_user(User())
        return ""

    browser, _ = damaged(here)
    assert browser.post("/enter").status_code == 200
    found = browser.get("/me").json
    assert (found["user"], "a" in found["data"]) == ("ada", False)
