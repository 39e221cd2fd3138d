"""The API in front of a Flask application: exactly its own paths, whatever the application has around itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.test import Client

from sessile.integrations.flask import Sessile, session
from sessile.server.limits import BODY_BYTES_MAX
from sessile.testing.shows import shows_security
from tests.integration.flask.site import Site, set_cookies, token_of

JSON = {"Content-Type": "application/json", "Origin": "http://localhost"}


def test_the_paths_of_the_service_and_no_others(here: Site) -> None:
    client = here.client()
    assert client.get("/api/session_state").json["reason"] == "no_cookie"
    client.post("/login/ann")
    state = client.get("/api/session_state")
    assert (state.status_code, state.json["user"]) == (200, {"id": "ann", "name": "ann"})
    assert "javascript" in client.get("/sessile.js").content_type
    assert client.get("/api/v0/openapi.json").json["info"]["title"] == "Sessile"
    assert client.get("/api/v0/nothing").json["code"] == "not_found"
    for path in ("/api/v1/x", "/api/session_state/", "/sessile.js.map", "/wss", "/healthz", "/api"):
        response = client.get(path)
        assert (response.status_code, response.content_type) == (404, "text/html; charset=utf-8"), path


def test_the_service_and_the_pages_have_one_store(here: Site) -> None:
    @here.app.get("/intake")
    def intake():
        return session.documents.open("intake", default={"step": 1}).state

    client = here.client()
    client.post("/login/ann")
    assert client.put(
        "/api/v0/documents/by-name/intake", data=json.dumps({"default": {"step": 1}}), headers=JSON
    ).status_code in {200, 201}
    document = client.get("/api/v0/documents").json["documents"][0]
    patched = client.patch(
        f"/api/v0/documents/{document['document_id']}", data=json.dumps({"step": 2}), headers={**JSON, "If-Match": "*"}
    )
    assert patched.status_code == 200, patched.text
    assert client.get("/intake").json == {"step": 2}
    polled = client.get(f"/api/v0/documents/{document['document_id']}/changes?after=0")
    assert polled.status_code == 200
    assert client.post("/logout").json == {"ended": True}
    assert client.get("/api/session_state").status_code == 401


@pytest.mark.parametrize("path", ["/ws", "/ws/session/01900000-0000-7000-8000-00000000000a", "/api/v0/events"])
@pytest.mark.parametrize("headers", [{}, {"Connection": "Upgrade", "Upgrade": "websocket"}])
def test_what_would_stay_open_is_refused_so_that_clients_poll(here: Site, path: str, headers: dict[str, str]) -> None:
    response = here.client().get(path, headers=headers)
    assert (response.status_code, response.json["code"]) == (501, "live_push_unavailable")
    assert response.content_type == "application/problem+json"
    assert (response.json["retryable"], set_cookies(response)) == (False, [])


def test_the_applications_hooks_do_not_see_the_service(here: Site) -> None:
    seen: list[str] = []

    @here.app.before_request
    def hook() -> tuple[str, int]:
        seen.append("hook")
        return "go away", 403

    @here.app.errorhandler(404)
    def nowhere(error: Exception):
        seen.append("handler")
        return "mine"

    assert here.client().get("/api/session_state").status_code == 401
    assert here.client().get("/api/v0/nothing").status_code == 404
    assert seen == []


@shows_security("V4.2.5")
def test_a_body_that_is_too_large_is_refused_and_not_read(here: Site) -> None:
    class Endless:
        given = 0

        def read(self, count: int) -> bytes:
            self.given += count
            return b" " * count

    body = Endless()
    client: Any = Client(here.app)
    environ: dict[str, Any] = {"wsgi.input": body, "CONTENT_LENGTH": str(10**12)}
    response = client.post("/api/v0/session/refresh", environ_overrides=environ, headers=JSON)
    assert (response.status_code, response.json["code"]) == (413, "too_large")
    endless: dict[str, Any] = {"wsgi.input": body, "wsgi.input_terminated": True, "CONTENT_LENGTH": ""}
    response = client.post("/api/v0/session/refresh", environ_overrides=endless, headers=JSON)
    assert (response.status_code, response.json["code"]) == (413, "too_large")
    assert body.given <= 2 * (BODY_BYTES_MAX + 1)


def test_below_a_prefix(here: Site) -> None:
    mounted = Client(DispatcherMiddleware(Flask("outer"), {"/shop": here.app}))
    assert mounted.get("/shop/api/session_state").status_code == 401
    assert mounted.get("/api/session_state").status_code == 404
    assert mounted.get("/shop/quiet").text == "here"


@pytest.mark.parametrize("is_first", [True, False])
@shows_security("V4.1.3")
def test_behind_a_proxy_in_either_order(tmp_path: Path, is_first: bool) -> None:
    """`ProxyFix` is put around an application before or after us: what it says of scheme and host holds for the service as for the pages."""
    app = Flask("behind")
    if is_first:
        app.wsgi_app = ProxyFix(app.wsgi_app, x_proto=1, x_host=1)  # type: ignore[method-assign]
    sessile = Sessile(app, database_url=f"sqlite:///{tmp_path / 'sessile.db'}")
    if not is_first:
        app.wsgi_app = ProxyFix(app.wsgi_app, x_proto=1, x_host=1)  # type: ignore[method-assign]

    @app.post("/login")
    def login():
        session.login("ann")
        return ""

    forwarded = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "shop.example"}
    client: Any = app.test_client(use_cookies=False)
    (cookie,) = set_cookies(client.post("/login", headers=forwarded))
    assert cookie.startswith("__Host-Http-sessile=")
    headers = {**forwarded, "Cookie": cookie.partition(";")[0]}
    assert client.get("/api/session_state", headers=headers).json["user"]["id"] == "ann"
    asked = {**headers, "Content-Type": "application/json", "Origin": "https://shop.example"}
    refreshed = client.post("/api/v0/session/refresh", headers=asked)
    assert refreshed.status_code == 200, refreshed.text
    sessile.close()


def test_a_refresh_by_the_page_gives_the_browser_a_new_token(here: Site) -> None:
    client = here.client()
    client.post("/login/ann")
    here.clock.advance(60)
    before = token_of(client)
    assert client.post("/api/v0/session/refresh", headers=JSON).status_code == 200
    assert token_of(client) != before
    assert client.get("/me").json["user"] == "ann"
