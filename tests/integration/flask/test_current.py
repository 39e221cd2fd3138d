"""Accessors and what a view can require: user, platform (also a tab's own), a recent log-in, the own origin, a form's token."""

from __future__ import annotations

from typing import Any

import pytest
from flask import render_template_string, request

from sessile.integrations.flask import (
    current_session,
    get_current_platform_id,
    get_current_session_context,
    get_current_user_id,
    is_session_authenticated,
    require_authentication,
    require_csrf,
    require_fresh,
    require_platform,
    require_same_origin,
    session,
)
from sessile.model.platform import PlatformEntry
from sessile.testing.shows import shows, shows_security
from tests.integration.flask.site import Site, set_cookies

SHOP = PlatformEntry(platform_id="shop", name="Shop", is_default=True)
MAIL = PlatformEntry(platform_id="mail", name="Mail")
FORM = '<form><input name="csrf_token" value="{{ csrf_token() }}"></form>'


@pytest.fixture
def asking(here: Site) -> Site:
    app = here.app

    @app.get("/who")
    def who():
        context = get_current_session_context()
        return {
            "user": get_current_user_id(),
            "platform": get_current_platform_id(),
            "is_authenticated": is_session_authenticated(),
            "context": context and [context.session.session_id, dict(context.user or {}), context.platform],
        }

    @app.get("/user")
    @require_authentication
    def user():
        return "in"

    @app.get("/platform")
    @require_platform
    def platform():
        return str(session.platform_id)

    @app.get("/mail")
    @require_platform("mail", "post")
    def mail():
        return "mail"

    @app.post("/fresh")
    @require_fresh(300)
    def fresh():
        return "fresh"

    @app.post("/origin")
    @require_same_origin
    def origin():
        return "here"

    @app.route("/form", methods=["GET", "POST"])
    @require_csrf
    def form():
        return render_template_string(FORM) if request.method == "GET" else "sent"

    @app.post("/switch/<platform_id>")
    def switch(platform_id: str):
        more: dict[str, Any] = {"expected": request.args["expected"]} if "expected" in request.args else {}
        session.switch_platform(platform_id, **more)
        return str(session.platform_id)

    here.manager.sync_platforms("ann", [SHOP, MAIL])
    return here


@shows("D02", "http")
def test_accessors(asking: Site) -> None:
    client = asking.client()
    assert client.get("/who").json == {"user": None, "platform": None, "is_authenticated": False, "context": None}
    client.post("/login/ann")
    (record,) = asking.sessions("ann")
    told = client.get("/who").json
    assert (told["user"], told["platform"], told["is_authenticated"]) == ("ann", "shop", True)
    assert told["context"][:2] == [record.session_id, {"name": "ann"}]
    assert told["context"][2]["id"] == "shop"


def test_what_is_required_and_missing(asking: Site) -> None:
    client = asking.client()
    for path in ("/user", "/platform", "/mail"):
        assert (client.get(path).status_code, client.get(path).json["code"]) == (401, "authentication_required")
    client.post("/login/bob")
    assert client.get("/user").text == "in"
    assert (client.get("/platform").status_code, client.get("/platform").json["code"]) == (404, "platform_refused")
    client.post("/login/ann")
    assert client.get("/platform").text == "shop"
    assert client.get("/mail").status_code == 404
    client.post("/switch/mail")
    assert client.get("/mail").text == "mail"


@shows("E05", "http")
def test_a_tab_names_its_own_platform(asking: Site) -> None:
    client = asking.client()
    client.post("/login/ann")
    response = client.get("/mail", headers={"Sessile-Platform": "mail"})
    assert (response.status_code, response.headers["Sessile-Platform"]) == (200, "mail")
    assert client.get("/platform").text == "shop", "it held for one request"
    refused = client.get("/platform", headers={"Sessile-Platform": "eves"})
    assert (refused.status_code, refused.json["code"]) == (404, "platform_refused")
    assert client.get("/user", headers={"Sessile-Platform": "eves"}).status_code == 200, "nobody asked where"


@shows("E02", "http")
def test_the_loser_of_a_switch_is_told_where_it_is_now(asking: Site) -> None:
    client = asking.client()
    client.post("/login/ann")
    assert client.post("/switch/mail?expected=shop").text == "mail"
    late = client.post("/switch/shop?expected=shop")
    assert (late.status_code, late.json["code"], late.json["current"]) == (
        409,
        "version_conflict",
        {"platform_id": "mail"},
    )


@shows_security("V7.5.1", "V7.5.3")
def test_a_recent_login(asking: Site) -> None:
    client = asking.client()
    assert client.post("/fresh").status_code == 401
    client.post("/login/ann")
    assert client.post("/fresh").text == "fresh"
    asking.clock.advance(301)
    refused = client.post("/fresh")
    assert (refused.status_code, refused.json["code"]) == (403, "freshness_required")
    client.post("/login/ann")
    assert client.post("/fresh").status_code == 200


@shows_security("V3.5.1")
def test_the_own_origin(asking: Site) -> None:
    client = asking.client()
    client.post("/login/ann")
    assert client.post("/origin", headers={"Origin": "http://localhost"}).status_code == 200
    assert client.post("/origin", headers={"Sec-Fetch-Site": "same-origin"}).status_code == 200
    assert client.post("/origin", headers={"Origin": "https://evil.example"}).json["code"] == "origin_refused"
    assert client.post("/origin").json["code"] == "csrf_failed"


def token_in(page: str) -> str:
    return page.partition('value="')[2].partition('"')[0]


@shows_security("C-12")
def test_a_form_has_a_token_of_this_session(asking: Site) -> None:
    client = asking.client()
    client.post("/login/ann")
    token = token_in(client.get("/form").text)
    assert client.post("/form", data={"csrf_token": token}).text == "sent"
    assert client.post("/form", headers={"X-CSRF-Token": token}).text == "sent"
    for data in ({}, {"csrf_token": ""}, {"csrf_token": token[:-4] + "AAAA"}, {"csrf_token": [token, token]}):
        refused = client.post("/form", data=data)
        assert (refused.status_code, refused.json["code"]) == (403, "csrf_failed")
    other = asking.client()
    other.post("/login/bob")
    assert other.post("/form", data={"csrf_token": token}).status_code == 403


@shows_security("C-12")
def test_a_form_for_visitors_has_a_token_too(asking: Site) -> None:
    client = asking.client()
    page = client.get("/form")
    assert len(set_cookies(page)) == 1
    assert client.post("/form", data={"csrf_token": token_in(page.text)}).text == "sent"
    assert client.post("/login/ann").status_code == 200
    assert client.post("/form", data={"csrf_token": token_in(page.text)}).status_code == 403, "it was the visitor's"


def test_decorated_views_keep_their_names_and_may_be_async(asking: Site) -> None:
    pytest.importorskip("asgiref")

    @asking.app.get("/later")
    @require_authentication
    async def later():
        """A view."""
        return str(current_session().user_id)

    assert (later.__name__, later.__doc__) == ("later", "A view.")
    client = asking.client()
    assert client.get("/later").status_code == 401
    client.post("/login/ann")
    assert client.get("/later").text == "ann"
