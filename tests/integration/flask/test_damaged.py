"""Data in the store that cannot be read: the request is nobody's and says why, the log names the session, nothing is overwritten; and people get in and out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from flask import get_flashed_messages
from flask_login import LoginManager, UserMixin, current_user, login_user, logout_user

from sessile.integrations.flask import session
from sessile.runtime.lane import drive
from sessile.testing.shows import shows_security
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
@shows_security("V-11")
def test_who_comes_with_it_is_nobody_and_the_log_names_it(
    here: Site, data: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    browser, handle = damaged(here, data)
    answer = browser.get("/me")
    assert answer.json == {"user": None, "data": {}, "reason": "damaged"}
    assert set_cookies(answer) == []
    assert any(tells_of(record, handle) for record in caplog.records)
    assert [(known.session_id, known.data) for known in here.sessions("ada")] == [(handle, data)], "it is kept"


def test_who_does_not_use_it_is_not_disturbed(here: Site) -> None:
    @here.app.before_request
    def always_permanent() -> None:
        session.permanent = True

    browser, _ = damaged(here)
    assert browser.get("/quiet").status_code == 200


def test_who_is_here_is_asked_first_and_nobody_goes_on_without_what_was_noted_of_them(here: Site) -> None:
    @here.app.get("/guarded")
    def guarded() -> Any:
        if (user := session.user_id) is None:
            return {"refused": session.reason}
        return {"user": user, "may_pay": "second_factor_missing" not in session}

    browser, _ = damaged(here)
    assert browser.get("/guarded").json == {"refused": "damaged"}


def test_a_write_begins_another_session_and_leaves_it_as_it_is(here: Site) -> None:
    browser, handle = damaged(here)
    assert browser.post("/set/b/2").status_code == 200
    assert browser.get("/me").json == {"user": None, "data": {"b": "2"}, "reason": "anonymous"}
    assert here.manager.get_session(handle).data == GARBAGE


@pytest.mark.parametrize("name", ["ada", "bob"])
def test_a_login_begins_another_session(here: Site, name: str) -> None:
    browser, handle = damaged(here)
    assert browser.post(f"/login/{name}").status_code == 200
    assert browser.get("/me").json == {"user": name, "data": {}, "reason": None}
    assert browser.post("/set/b/2").status_code == 200
    assert browser.get("/me").json["data"] == {"b": "2"}
    kept = drive(here.store.read(lambda tx: tx.sessions.get(handle)))
    assert (kept.end_reason, kept.data) == ("superseded", GARBAGE)


def test_an_anonymous_visitor_can_log_in(here: Site) -> None:
    @here.app.get("/handle")
    def handle() -> str:
        return session.handle or ""

    browser = here.client()
    browser.post("/set/a/1")
    drive(here.store.write(damage, browser.get("/handle").text))
    assert browser.get("/me").json["reason"] == "damaged"
    assert browser.post("/login/ada").status_code == 200
    assert browser.get("/me").json["data"] == {}


def test_a_logout_ends_it(here: Site) -> None:
    browser, _ = damaged(here)
    assert browser.post("/logout").json == {"ended": True}
    assert browser.get("/me").json == {"user": None, "data": {}, "reason": "no_cookie"}


def test_a_log_out_over_it_after_it_was_read(here: Site) -> None:
    @here.app.post("/leave")
    def leave() -> Any:
        return {"name": session.get("name"), "ended": session.logout()}

    browser, handle = damaged(here)
    assert browser.post("/leave").json == {"name": None, "ended": True}
    kept = drive(here.store.read(lambda tx: tx.sessions.get(handle)))
    assert (kept.end_reason, kept.data) == ("logout", GARBAGE)
    assert browser.get("/me").json["reason"] == "no_cookie"


def with_flask_login(here: Site) -> None:
    manager = LoginManager(here.app)

    class User(UserMixin):  # type: ignore[misc]
        id = "ada"

    manager.user_loader(lambda user_id: User() if user_id == "ada" else None)

    @here.app.get("/enter")
    def page() -> Any:
        return {"is_in": current_user.is_authenticated, "messages": get_flashed_messages()}

    @here.app.post("/enter")
    def enter() -> str:
        login_user(User())
        return ""

    @here.app.post("/leave")
    def leave() -> str:
        logout_user()
        return ""


def test_a_login_of_flask_login_and_its_page(here: Site) -> None:
    with_flask_login(here)
    browser, handle = damaged(here)
    assert browser.get("/enter").json == {"is_in": False, "messages": []}
    assert browser.post("/enter").status_code == 200
    found = browser.get("/me").json
    assert (found["user"], "a" in found["data"]) == ("ada", False)
    assert [known.session_id for known in here.sessions("ada")] != [handle]
    assert browser.get("/enter").json["is_in"] is True


def test_a_logout_of_flask_login(here: Site) -> None:
    with_flask_login(here)
    browser, _ = damaged(here)
    assert browser.post("/leave").status_code == 200
    assert here.sessions("ada") == []
    assert browser.get("/me").json["reason"] == "no_cookie"
