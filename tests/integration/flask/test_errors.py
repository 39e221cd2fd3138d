"""Errors of ours, of the application, and who gets to answer them. Whoever raised saves nothing."""

from __future__ import annotations

import logging

import flask
import pytest
from flask import Blueprint, abort, get_flashed_messages
from werkzeug.exceptions import HTTPException

from sessile.integrations.flask import require_authentication, session
from sessile.model.errors import AuthenticationRequired, SessileError, SessionError, StoreUnavailable
from tests.integration.flask.site import Site, set_cookies


@pytest.fixture
def raising(here: Site) -> Site:
    @here.app.get("/need")
    @require_authentication
    def need():
        return "in"

    @here.app.post("/fail/<how>")
    def fail(how: str):
        session["lost"] = how
        match how:
            case "ours":
                raise StoreUnavailable
            case "theirs":
                raise ZeroDivisionError
            case "abort":
                abort(403)
            case "login":
                session.login("ann")
                raise ZeroDivisionError
        return how, 500

    return here


def test_it_is_a_problem_document(raising: Site) -> None:
    response = raising.client().get("/need")
    assert response.status_code == 401
    assert response.content_type == "application/problem+json"
    assert response.json == {
        "type": "about:blank",
        "title": "Unauthorized",
        "status": 401,
        "detail": "Log in to continue.",
        "code": "authentication_required",
        "message": "Log in to continue.",
        "retryable": False,
        "reason": "no_cookie",
    }
    assert response.headers["WWW-Authenticate"] == "Bearer"
    assert response.headers.getlist("Vary") == ["Cookie"]
    assert response.headers.getlist("Cache-Control") == ["private, no-store"]


def test_t70_a_handler_for_everything_does_not_swallow_ours(raising: Site) -> None:
    """The trap: an error handler of the whole application answered before the route could, and every outage became a redirect to the log-in."""
    blueprint = Blueprint("inner", "inner")

    @blueprint.get("/inner")
    @require_authentication
    def inner():
        return ""

    @blueprint.errorhandler(Exception)
    @raising.app.errorhandler(Exception)
    def everything(error: Exception):
        return flask.redirect("/login")

    @raising.app.errorhandler(500)
    @raising.app.errorhandler(503)
    @raising.app.errorhandler(401)
    @raising.app.errorhandler(HTTPException)
    def page(error: Exception):
        return "a page of mine", 200

    raising.app.register_blueprint(blueprint)
    client = raising.client()
    assert (client.get("/need").status_code, client.get("/inner").status_code) == (401, 401)
    response = client.post("/fail/ours")
    assert (response.status_code, response.json["code"], response.headers["Retry-After"]) == (
        503,
        "store_unavailable",
        "2",
    )
    assert client.post("/fail/theirs").location == "/login", "their own errors are theirs"


@pytest.mark.parametrize("kind", [AuthenticationRequired, SessionError, SessileError])
@pytest.mark.parametrize("by_blueprint", [False, True])
def test_a_handler_for_an_error_of_ours_is_meant(raising: Site, kind: type[SessileError], by_blueprint: bool) -> None:
    blueprint = Blueprint("inner", "inner")

    @blueprint.get("/inner")
    @require_authentication
    def inner():
        return ""

    @(blueprint if by_blueprint else raising.app).errorhandler(kind)
    def to_login(error: SessileError):
        return flask.redirect("/login")

    raising.app.register_blueprint(blueprint)
    assert raising.client().get("/inner").location == "/login"
    assert raising.client().get("/need").status_code == (401 if by_blueprint else 302)


@pytest.mark.parametrize(("how", "status"), [("ours", 503), ("theirs", 500)])
def test_who_raises_saves_nothing(raising: Site, how: str, status: int) -> None:
    client = raising.client()
    client.post("/set/a/1")
    assert client.post(f"/fail/{how}").status_code == status
    assert client.get("/me").json["data"] == {"a": "1"}


@pytest.mark.parametrize(("how", "status"), [("abort", 403), ("return", 500)])
def test_a_response_of_any_status_saves(raising: Site, how: str, status: int) -> None:
    """Flask's habit: abort() is a response in another form."""
    client = raising.client()
    assert client.post(f"/fail/{how}").status_code == status
    assert client.get("/me").json["data"] == {"lost": how}


def test_what_the_error_handler_writes_is_saved(raising: Site) -> None:
    @raising.app.errorhandler(ZeroDivisionError)
    def tell(error: Exception):
        flask.flash("that went wrong")
        return flask.redirect("/me")

    @raising.app.get("/messages")
    def messages():
        return {"messages": get_flashed_messages()}

    client = raising.client()
    client.post("/fail/theirs")
    assert client.get("/messages").json == {"messages": ["that went wrong"]}
    assert "lost" not in client.get("/me").json["data"]


def test_a_login_before_the_error_is_done_and_the_browser_learns_the_token(raising: Site) -> None:
    client = raising.client()
    response = client.post("/fail/login")
    assert response.status_code == 500
    assert len(set_cookies(response)) == 1
    assert client.get("/need").status_code == 200


def test_errors_propagate_in_tests_as_they_do_in_flask(raising: Site) -> None:
    raising.app.testing = True
    client = raising.client()
    with pytest.raises(ZeroDivisionError):
        client.post("/fail/theirs")
    assert client.post("/fail/ours").status_code == 503, "ours are answers"


def test_an_error_of_ours_after_the_view_is_a_problem_too(here: Site) -> None:
    @here.app.after_request
    def after(response: flask.Response) -> flask.Response:
        if response.status_code == 200:
            session.require_user()
        return response

    assert here.client().get("/quiet").status_code == 401


def test_an_error_before_the_view_is_a_problem_too(here: Site) -> None:
    @here.app.before_request
    def before() -> None:
        session.require_user()

    assert here.client().get("/quiet").status_code == 401
    assert here.client().get("/nowhere").status_code == 401


def test_our_own_faults_are_in_the_log_and_refusals_are_not(here: Site, caplog: pytest.LogCaptureFixture) -> None:
    @here.app.get("/late")
    def late():
        def stream():
            yield "first"
            session["x"] = 1

        return here.app.response_class(flask.stream_with_context(stream()))

    with caplog.at_level(logging.ERROR):
        here.app.add_url_rule("/need", view_func=require_authentication(lambda: ""))
        here.client().get("/need")
    assert caplog.records == []
