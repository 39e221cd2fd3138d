"""Flask-Login on our sessions: log-in, log-out, protection, remember me; and cookies of its own from before."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import flask
import pytest
from flask import Flask

from sessile.integrations.flask import Sessile, session
from sessile.testing.shows import shows_security
from tests.integration.flask.conftest import with_routes
from tests.integration.flask.site import Site, set_cookies, site, token_of

flask_login = pytest.importorskip("flask_login")
pytestmark = pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")


class User(flask_login.UserMixin):  # type: ignore[misc, name-defined]
    def __init__(self, name: str) -> None:
        self.id = name


def with_login(made: Site) -> Site:
    app = made.app
    manager = flask_login.LoginManager(app)
    manager.user_loader(User)

    @app.post("/in/<name>")
    def log_in(name: str):
        remember = flask.request.args.get("remember") == "1"
        return {"in": flask_login.login_user(User(name), remember=remember)}

    @app.post("/out")
    def log_out():
        return {"out": flask_login.logout_user()}

    @app.get("/mine")
    @flask_login.login_required
    def mine():
        return {"user": flask_login.current_user.id, "ours": session.user_id}

    @app.get("/fresh")
    @flask_login.fresh_login_required
    def fresh():
        return "fresh"

    return with_routes(made)


@pytest.fixture
def shop() -> Iterator[Site]:
    """Without a SECRET_KEY."""
    with site() as made:
        yield with_login(made)


def test_a_login_is_a_login_of_ours(shop: Site) -> None:
    client = shop.client()
    client.post("/set/basket/a")
    before = token_of(client)
    assert client.get("/mine").status_code == 401
    response = client.post("/in/ann")
    assert response.json == {"in": True}
    assert [cookie.partition("=")[0] for cookie in set_cookies(response)] == ["sessile"]
    assert token_of(client) != before
    assert client.get("/mine").json == {"user": "ann", "ours": "ann"}
    assert client.get("/me").json["data"]["basket"] == "a"
    assert len(shop.sessions("ann")) == 1


@shows_security("V7.4.1", "C-8")
def test_a_logout_ends_the_session_everywhere(shop: Site) -> None:
    client = shop.client()
    client.post("/in/ann")
    token = token_of(client)
    assert client.post("/out").json == {"out": True}
    assert shop.sessions("ann") == []
    assert client.get("/mine").status_code == 401
    assert shop.client(cookies=False).get("/mine", headers={"Cookie": f"sessile={token}"}).status_code == 401


def test_an_end_elsewhere_is_a_logout_here(shop: Site) -> None:
    client = shop.client()
    client.post("/in/ann")
    shop.manager.cleanup_user_sessions("ann")
    assert client.get("/mine").status_code == 401


def test_another_user_begins_with_an_empty_session(shop: Site) -> None:
    client = shop.client()
    client.post("/in/ann")
    client.post("/set/secret/1")
    client.post("/in/bob")
    assert client.get("/mine").json == {"user": "bob", "ours": "bob"}
    assert "secret" not in client.get("/me").json["data"]
    assert shop.sessions("ann") == []


def test_remember_me_is_the_longer_clock_and_no_second_cookie(shop: Site) -> None:
    client = shop.client()
    (cookie,) = set_cookies(client.post("/in/ann?remember=1"))
    assert f"Max-Age={int(shop.manager.settings.remember_timeout_s)}" in cookie
    assert [cookie.key for cookie in client._cookies.values()] == ["sessile"]
    assert client.get("/fresh").text == "fresh"
    shop.clock.advance(shop.manager.settings.absolute_timeout_s + 1)
    assert client.get("/mine").json["user"] == "ann"
    assert client.get("/fresh").status_code == 401, "as Flask-Login has it: log in again"
    client.post("/in/ann")
    assert client.get("/fresh").text == "fresh"


def test_strong_protection_ends_the_session_of_a_token_in_another_browser(shop: Site) -> None:
    manager: Any = shop.app
    manager.login_manager.session_protection = "strong"
    client = shop.client()
    client.post("/in/ann", headers={"User-Agent": "hers"})
    assert client.get("/mine", headers={"User-Agent": "hers"}).status_code == 200
    stolen = {"Cookie": f"sessile={token_of(client)}", "User-Agent": "his"}
    assert shop.client(cookies=False).get("/mine", headers=stolen).status_code == 401
    assert shop.sessions("ann") == []
    assert client.get("/mine", headers={"User-Agent": "hers"}).status_code == 401


def test_basic_protection_takes_the_freshness_only(shop: Site) -> None:
    client = shop.client()
    client.post("/in/ann", headers={"User-Agent": "one"})
    assert client.get("/mine", headers={"User-Agent": "two"}).json["user"] == "ann"
    assert client.get("/fresh", headers={"User-Agent": "two"}).status_code == 401
    assert len(shop.sessions("ann")) == 1


def test_static_files_and_plain_pages_stay_without_a_session(shop: Site) -> None:
    """Flask-Login looks into the session after every request."""
    client = shop.client()
    client.post("/in/ann")
    shop.forget()
    for path in ("/static/site.css", "/quiet"):
        response = client.get(path, buffered=True)
        assert (shop.trips, "Cookie" in response.headers.get("Vary", "")) == ([], False), path


def test_a_cookie_of_flask_login_from_before_becomes_a_session(shop: Site) -> None:
    shop.app.secret_key = "k" * 32
    with shop.app.test_request_context():
        old = flask_login.utils.encode_cookie("ann")
    client = shop.client()
    client.set_cookie("remember_token", old)
    assert client.get("/mine").json == {"user": "ann", "ours": "ann"}
    assert [cookie.key for cookie in client._cookies.values()] == ["sessile"], "it is taken away"
    assert client.get("/mine").json["user"] == "ann"
    assert client.get("/fresh").status_code == 401


def test_the_order_of_set_up_does_not_matter() -> None:
    with site() as other:
        app = Flask("later")
        login_manager = flask_login.LoginManager(app)
        login_manager.user_loader(User)
        Sessile(app, other.manager)

        @app.post("/in")
        def log_in():
            flask_login.login_user(User("ann"))
            return str(session.user_id)

        assert app.test_client().post("/in").text == "ann"
