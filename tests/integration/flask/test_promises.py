"""Round trips, cookies and headers: what a request costs and says."""

from __future__ import annotations

import pytest

from sessile.integrations.flask import session
from sessile.testing.shows import shows, shows_security
from tests.integration.flask.conftest import with_routes
from tests.integration.flask.site import Site, set_cookies, site, token_of


def test_a_visitor_who_never_writes_costs_nothing(here: Site) -> None:
    response = here.client().get("/me")
    assert here.trips == []
    assert set_cookies(response) == []
    assert (response.headers["Vary"], response.headers["Cache-Control"]) == ("Cookie", "private, no-store")


def test_a_read_is_one_round_trip_and_sets_no_cookie(here: Site) -> None:
    client = here.client()
    client.post("/set/a/1")
    client.get("/me")  # the token is seen for the first time
    here.forget()
    response = client.get("/me")
    assert here.trips == ["_get"]
    assert set_cookies(response) == []


def test_a_write_is_a_read_and_a_write(here: Site) -> None:
    client = here.client()
    client.post("/set/a/1")
    client.get("/me")
    here.forget()
    assert set_cookies(client.post("/set/b/2")) == []
    assert here.trips == ["_get", "_change_data_of"]
    here.forget()
    client.post("/set/b/2")
    assert here.trips == ["_get"], "the same value is no change"


@shows("A07", "http")
def test_activity_is_written_at_the_stated_rate(here: Site) -> None:
    client = here.client()
    client.post("/login/ann")
    client.get("/me")
    here.forget()
    for _ in range(10):
        here.clock.advance(here.manager.settings.idle_timeout_s / 20 / 4)
        client.get("/me")
    assert here.store.writes.count("_touch") == 2
    here.forget()
    for _ in range(3):
        client.get("/me")
    assert here.store.writes == []


@shows_security("V7.3.1")
def test_a_passive_request_is_no_activity(here: Site) -> None:
    @here.app.get("/poll")
    def poll():
        session.passive = True
        return {"user": session.user_id}

    client = here.client()
    client.post("/login/ann")
    client.get("/me")
    here.forget()
    here.clock.advance(here.manager.settings.idle_timeout_s / 2)
    assert client.get("/poll").json == {"user": "ann"}
    assert here.store.writes == []


def test_a_page_that_does_not_use_the_session_is_as_without_one(here: Site) -> None:
    client = here.client()
    client.post("/login/ann")
    here.forget()
    response = client.get("/quiet")
    assert (here.trips, set_cookies(response)) == ([], [])
    assert "Vary" not in response.headers
    assert "Cache-Control" not in response.headers


@shows("D01", "http")
def test_t68_static_files_ask_nobody_and_may_be_cached(here: Site) -> None:
    """The trap: a session of the database for each static file."""
    client = here.client()
    client.post("/login/ann")
    here.forget()
    response = client.get("/static/site.css", buffered=True)
    assert (response.status_code, here.trips, set_cookies(response)) == (200, [], [])
    assert "Cookie" not in response.headers.get("Vary", "")
    assert "private" not in response.headers.get("Cache-Control", "")
    assert (
        client.get("/static/site.css", headers={"If-None-Match": response.headers["ETag"]}, buffered=True).status_code
        == 304
    )


@pytest.mark.parametrize("path", ["/me?transport=polling", "/me?EIO=4&transport=websocket"])
@pytest.mark.parametrize("headers", [{}, {"Upgrade": "websocket", "Connection": "Upgrade"}])
@shows_security("V7.2.1", "V-22")
def test_t66_nothing_a_client_says_takes_a_request_past_its_session(
    here: Site, path: str, headers: dict[str, str]
) -> None:
    """The trap: `?transport=polling` or an upgrade header skipped the loading of sessions on any path."""
    seen: list[str | None] = []

    @here.app.before_request
    def look() -> None:
        seen.append(session.user_id)

    client = here.client()
    client.post("/login/ann")
    client.get(path, headers=headers)  # Flask itself answers 400 to an upgrade of a page
    assert seen[-1] == "ann"


@shows_security("V-9")
def test_t60_an_unknown_handle_is_one_read_and_no_search(here: Site) -> None:
    """The trap: an unknown id loaded every row to look for variants of its letters."""
    client = here.client()
    client.post("/login/ann")
    handle, _, secret = token_of(client).partition(".")
    for token in (
        f"{handle.upper()}.{secret}",
        f"{handle}.{secret.swapcase()}",
        "01900000-0000-7000-8000-00000000000a." + "A" * 43,
    ):
        here.forget()
        response = here.client(cookies=False).get("/me", headers={"Cookie": f"sessile={token}"})
        assert (response.json["user"], response.json["reason"]) == (None, "unknown")
        assert len(here.trips) <= 2
        assert set(here.trips) <= {"_get"}
        assert set_cookies(response) == []


@shows_security("V14.2.2", "V-12")
def test_vary_is_one_and_what_the_view_said_stays(here: Site) -> None:
    @here.app.get("/varied")
    def varied():
        return {"user": session.user_id}, {"Vary": "Accept-Language", "Cache-Control": "public, max-age=60"}

    headers = here.client().get("/varied").headers
    assert headers.getlist("Vary") == ["Accept-Language, Cookie"]
    assert headers.getlist("Cache-Control") == ["private, no-store"]


@shows_security("V3.3.1", "V3.3.3", "K-1", "K-4")
def test_https_has_the_strict_name_and_partitioned() -> None:
    with site(cookie_partitioned=True, cookie_samesite="none") as made:
        client = with_routes(made).client()
        (cookie,) = set_cookies(client.post("/set/a/1", base_url="https://shop.example"))
        assert cookie.startswith("__Host-Http-sessile=")
        assert cookie.endswith("; Path=/; HttpOnly; Secure; SameSite=None; Partitioned")
        assert client.get("/me", base_url="https://shop.example").json["data"] == {"a": "1"}


@shows_security("V3.3.1", "N-5")
def test_plain_http_elsewhere_is_refused_with_the_way_out(here: Site, caplog: pytest.LogCaptureFixture) -> None:
    response = here.client().post("/set/a/1", base_url="http://shop.example")
    assert (response.status_code, response.json["code"]) == (500, "configuration")
    assert "ProxyFix" in response.json["message"]
    assert here.client().get("/quiet", base_url="http://shop.example").status_code == 200


@shows_security("V7.2.4")
def test_a_login_gives_a_new_token_and_keeps_the_data(here: Site) -> None:
    client = here.client()
    client.post("/set/basket/a")
    before = token_of(client)
    client.post("/login/ann")
    assert token_of(client) != before
    assert client.get("/me").json == {"user": "ann", "data": {"basket": "a"}, "reason": None}
    late = here.client(cookies=False).get("/me", headers={"Cookie": f"sessile={before}"})
    assert (late.json["user"], late.json["reason"], set_cookies(late)) == (None, "superseded", [])
    assert client.post("/logout").json == {"ended": True}
    assert client.get("/me").json == {"user": None, "data": {}, "reason": "no_cookie"}


@shows_security("V7.2.4")
def test_another_users_data_does_not_come_along(here: Site) -> None:
    client = here.client()
    client.post("/login/ann")
    client.post("/set/secret/1")
    client.post("/login/bob")
    assert client.get("/me").json["data"] == {}
    assert here.sessions("ann") == []
