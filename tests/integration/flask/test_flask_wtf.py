"""Flask-WTF's CSRF protection on our sessions, and ours beside it."""

from __future__ import annotations

from typing import Any

import pytest
from flask import render_template_string, request

from sessile.integrations.flask import require_csrf
from tests.integration.flask.site import Site

flask_wtf = pytest.importorskip("flask_wtf")


def token_in(page: str) -> str:
    return page.partition('value="')[2].partition('"')[0]


def with_forms(here: Site) -> Any:
    here.app.secret_key = "k" * 32  # Flask-WTF signs its tokens with it
    flask_wtf.CSRFProtect(here.app)

    @here.app.route("/form", methods=["GET", "POST"])
    def form():
        return render_template_string('<input value="{{ csrf_token() }}">') if request.method == "GET" else "sent"

    return here.client()


def test_its_tokens_are_kept_in_our_session(here: Site) -> None:
    client = with_forms(here)
    token = token_in(client.get("/form").text)
    assert client.post("/form", data={"csrf_token": token}).text == "sent"
    assert client.post("/form", data={}).status_code == 400
    other = here.client()
    other.get("/form")
    assert other.post("/form", data={"csrf_token": token}).status_code == 400


def test_it_does_not_stand_in_the_way_of_the_service(here: Site) -> None:
    client = with_forms(here)
    client.post("/login/ann", data={"csrf_token": token_in(client.get("/form").text)})
    headers = {"Content-Type": "application/json", "Origin": "http://localhost"}
    assert client.put("/api/v0/documents/by-name/a", data="{}", headers=headers).status_code in {200, 201}


def test_ours_goes_by_another_name_beside_it(here: Site) -> None:
    client = with_forms(here)
    protect: Any = here.app.extensions["csrf"]

    @here.app.route("/ours", methods=["GET", "POST"])
    @protect.exempt
    @require_csrf
    def ours():
        page = '<input value="{{ sessile_csrf_token() }}">'
        return render_template_string(page) if request.method == "GET" else "sent"

    token = token_in(client.get("/ours").text)
    assert client.post("/ours", data={"csrf_token": token}).text == "sent"
    assert client.post("/ours", data={"csrf_token": token_in(client.get("/form").text)}).status_code == 403
