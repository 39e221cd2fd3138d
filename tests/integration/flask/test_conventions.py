"""Flask's own ways of working: test client, blueprints, hooks, streams, async views, contexts."""

from __future__ import annotations

import io
import logging
from typing import Any

import flask
import pytest
from flask import Blueprint, copy_current_request_context, stream_with_context

from sessile.integrations.flask import session
from sessile.model.errors import ConfigurationError, SessionClosed, StoreUnavailable
from sessile.testing.shows import shows_security
from tests.integration.flask.site import Site, set_cookies, token_of


def test_session_transaction_reads_writes_and_logs_in(here: Site) -> None:
    client = here.client()
    with client.session_transaction() as kept:
        kept["cart"] = {"a": (1, 2)}
        kept.login("ann", public={"name": "Ann"})
    assert client.get("/me").json["user"] == "ann"
    with client.session_transaction() as kept:
        assert (kept["cart"], kept.user_id, dict(kept.public)) == ({"a": (1, 2)}, "ann", {"name": "Ann"})
        del kept["cart"]
    assert client.get("/me").json["data"] == {}


def test_a_failed_session_transaction_is_an_error_and_not_silence(here: Site) -> None:
    client = here.client()
    client.post("/set/a/1")

    def change_during_an_outage() -> None:
        with client.session_transaction() as kept:
            kept["a"] = "2"
            here.store.is_away = True

    with pytest.raises(StoreUnavailable):
        change_during_an_outage()
    here.store.is_away = False
    assert client.get("/me").json["data"] == {"a": "1"}


def test_a_client_that_is_held_open_sees_the_session(here: Site) -> None:
    with here.client() as client:
        client.post("/set/a/1")
        assert session["a"] == "1"
        with pytest.raises(SessionClosed):
            session["b"] = 2


def test_blueprints_hooks_and_this_request(here: Site) -> None:
    blueprint = Blueprint("shop", "shop", url_prefix="/shop")

    @blueprint.before_request
    def before() -> None:
        session["before"] = 1

    @blueprint.post("/buy")
    def buy():
        @flask.after_this_request
        def after(response: flask.Response) -> flask.Response:
            session["after"] = session["before"] + 1
            return response

        return ""

    here.app.register_blueprint(blueprint)
    client = here.client()
    client.post("/shop/buy")
    assert client.get("/me").json["data"] == {"before": 1, "after": 2}


def test_teardown_may_read_and_not_write(here: Site) -> None:
    seen: list[Any] = []

    @here.app.teardown_request
    def teardown(error: BaseException | None) -> None:
        seen.append(session.get("a"))
        try:
            session["b"] = 1
        except SessionClosed as closed:
            seen.append(closed.code)

    client = here.client()
    client.post("/set/a/1")
    assert seen == ["1", "session_closed"]


def test_a_stream_reads_what_was_read_before_and_writes_nothing(here: Site) -> None:
    closed: list[str] = []

    @here.app.get("/stream")
    def stream():
        session.setdefault("n", 1)

        def lines():
            yield f"{session['n']};"
            try:
                session["n"] = 2
            except SessionClosed as error:
                closed.append(error.code)
            yield "end"

        return here.app.response_class(stream_with_context(lines()))

    client = here.client()
    response = client.get("/stream")
    assert (response.text, len(set_cookies(response))) == ("1;end", 1)
    assert closed == ["session_closed"]
    assert client.get("/me").json["data"] == {"n": 1}


def test_a_first_read_in_a_stream_is_refused_because_its_headers_are_gone(here: Site) -> None:
    @here.app.get("/stream")
    def stream():
        def lines():
            yield "first"
            yield str(session.user_id)

        return here.app.response_class(stream_with_context(lines()))

    with pytest.raises(SessionClosed, match="first time"):
        here.client().get("/stream", buffered=True)


def test_a_late_change_below_the_top_is_named_in_the_log(here: Site, caplog: pytest.LogCaptureFixture) -> None:
    @here.app.get("/stream")
    def stream():
        basket = session.setdefault("basket", {})

        def lines():
            yield "first"
            basket["late"] = 1

        return here.app.response_class(stream_with_context(lines()))

    client = here.client()
    with caplog.at_level(logging.ERROR, "sessile.web"):
        client.get("/stream", buffered=True)
    assert "changed after the response had started" in caplog.text
    assert client.get("/me").json["data"] == {"basket": {}}


def test_the_commit_is_before_the_first_byte(here: Site) -> None:
    """Whoever has the first byte of the answer can read what it says was saved."""

    @here.app.post("/stream")
    def stream():
        session["a"] = "1"
        return here.app.response_class(iter(["x", "y"]))

    client = here.client()
    response = client.post("/stream", buffered=False)
    assert client.get("/me").json["data"] == {"a": "1"}
    response.close()


def test_a_response_that_could_not_be_saved_is_let_go_of(here: Site) -> None:
    closed: list[bool] = []

    class Body(io.BytesIO):
        def close(self) -> None:
            closed.append(True)
            super().close()

    @here.app.post("/file")
    def file():
        session["a"] = "2"
        here.store.is_away = True
        return flask.send_file(Body(b"content"), mimetype="text/plain")

    client = here.client()
    client.post("/set/a/1")
    response = client.post("/file")
    assert (response.status_code, response.json["code"]) == (503, "store_unavailable")
    assert b"content" not in response.data
    assert closed[:1] == [True]


def test_async_views(here: Site) -> None:
    pytest.importorskip("asgiref")

    @here.app.post("/async")
    async def view():
        session.login("ann")
        session["a"] = 1
        return ""

    client = here.client()
    assert client.post("/async").status_code == 200
    assert client.get("/me").json["user"] == "ann"


@shows_security("V-17")
def test_a_copied_context_has_the_same_session(here: Site) -> None:
    @here.app.get("/copy")
    def copy():
        session["a"] = 1

        @copy_current_request_context
        def inner() -> Any:
            return session["a"]

        return {"a": inner()}

    assert here.client().get("/copy").json == {"a": 1}


def test_a_request_context_for_a_shell_or_a_test(here: Site) -> None:
    with here.app.test_request_context("/"):
        session["a"] = 1
        assert session["a"] == 1
        assert session.user_id is None
    assert here.writes == []


def test_a_bearer_token_is_a_session_without_a_cookie(here: Site) -> None:
    token = here.manager.create_session("ann").token
    client = here.client(cookies=False)
    headers = {"Authorization": f"Bearer {token}"}
    assert client.get("/me", headers=headers).json["user"] == "ann"
    assert set_cookies(client.post("/set/a/1", headers=headers)) == []
    assert client.get("/me", headers=headers).json["data"] == {"a": "1"}
    assert client.post("/login/bob", headers=headers).json["code"] == "session_update_failed"
    other = client.get("/me", headers={"Authorization": "Bearer of-the-application"})
    assert other.json["reason"] == "no_cookie"


def test_two_applications_have_two_cookies_or_share_one() -> None:
    from tests.integration.flask.site import site

    with site() as one, site(cookie_name="other") as two:
        assert one.app.session_interface.get_cookie_name(one.app) == "sessile"
        assert two.app.session_interface.get_cookie_name(two.app) == "other"


def test_outside_of_a_request_there_is_no_session(here: Site) -> None:
    from sessile.integrations.flask import current_session

    with pytest.raises(ConfigurationError, match="no request under way"):
        current_session()


def test_documents_are_the_users(here: Site) -> None:
    @here.app.get("/intake")
    def intake():
        return session.documents.open("intake", default={"step": 1}).state

    client = here.client()
    assert client.get("/intake").json == {"step": 1}
    client.post("/login/ann")
    assert client.get("/intake").json == {"step": 1}
    assert token_of(client)
