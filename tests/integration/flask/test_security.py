"""What Sessile adds against theft and what pages of other sites could learn, in a Flask application."""

from __future__ import annotations

import pytest

from sessile.integrations.flask import session
from sessile.testing.shows import shows_security
from sessile.web.guessing import UNKNOWN_MAX
from tests.integration.fastapi.test_security import CHROME, FIREFOX, UPDATED
from tests.integration.flask.conftest import with_routes
from tests.integration.flask.site import site


@shows_security("C-13")
@pytest.mark.parametrize("mode", ["off", "report", "enforce"])
def test_another_browser_with_the_cookie_is_told_and_refused_as_the_setting_says(mode: str) -> None:
    with site(fingerprint=mode) as made:
        client = with_routes(made).client()
        client.post("/login/ada", headers=FIREFOX)
        (handle,) = [one.session_id for one in made.sessions("ada")]
        for headers in (FIREFOX, UPDATED):
            assert client.get("/me", headers=headers).json["user"] == "ada"
        for _ in range(3):
            seen = client.get("/me", headers=CHROME).json
            assert (seen["user"], seen["reason"]) == ((None, "fingerprint") if mode == "enforce" else ("ada", None))
        kinds = [event.type for event in made.manager.audit.events(f"session:{handle}")]
        assert kinds.count("session_fingerprint_mismatch") == (0 if mode == "off" else 1)


@shows_security("C-8", "V14.3.1", "K-5")
def test_a_log_out_over_https_clears_what_the_browser_kept() -> None:
    with site() as made:
        for scheme, expected in (("https", '"cache"'), ("http", None)):
            client = with_routes(made).client() if scheme == "https" else made.client()
            base = f"{scheme}://localhost"
            assert "Clear-Site-Data" not in client.post("/login/ada", base_url=base).headers
            assert client.post("/logout", base_url=base).headers.get("Clear-Site-Data") == expected


@shows_security("V3.4.2")
def test_no_other_site_reads_an_answer() -> None:
    with site(allowed_origins=("https://friend.example",)) as made:
        client = with_routes(made).client()
        client.post("/login/ada")
        for origin in ("https://evil.example", "null", "https://friend.example"):
            for method, path in (("OPTIONS", "/me"), ("GET", "/me"), ("GET", "/api/v0/session")):
                answer = client.open(path, method=method, headers={"Origin": origin})
                assert not [name for name, _ in answer.headers if name.lower().startswith("access-control-")]


@shows_security("V7.1.3", "V7.6.1", "V7.4.1")
def test_the_providers_log_out_and_its_time_end_the_session_here() -> None:
    with site() as made:

        @made.app.post("/sso")
        def sso() -> str:
            from datetime import timedelta

            session.login("ada", provider_session="sid-1", until=made.clock.now() + timedelta(seconds=60))
            return ""

        client = with_routes(made).client()
        client.post("/sso")
        assert made.manager.end_provider_sessions("sid-1") == 1
        assert client.get("/me").json["reason"] == "ended:provider"
        client.post("/sso")
        made.clock.advance(60)
        assert client.get("/me").json["reason"] == "expired:absolute"


@shows_security("C-9", "V16.5.2", "V16.5.3")
def test_tries_to_log_in_are_limited_and_nobody_tries_while_nobody_can_count() -> None:
    with site(login_tries_max=2) as made:

        @made.app.post("/try/<name>")
        def try_login(name: str) -> str:
            session.count_login_try(name)
            return "go on"

        client = made.client()
        spoofed = {"X-Forwarded-For": "203.0.113.9", "X-Real-IP": "203.0.113.9"}
        assert [client.post("/try/ada", headers=spoofed).status_code for _ in range(2)] == [200, 200]
        refused = client.post("/try/ada")
        assert (refused.status_code, refused.headers["Retry-After"]) == (429, "300")
        made.store.is_away = True
        assert client.post("/try/bob").status_code == 503


@shows_security("C-9", "V4.1.3")
def test_guessing_of_tokens_is_noticed_once_for_each_address() -> None:
    with site() as made:
        client = with_routes(made).client(cookies=False)
        handle = made.manager.create_session("ada").session.session_id
        for number in range(UNKNOWN_MAX + 5):
            guess = {"Cookie": f"sessile={handle}.{'A' * 43}", "X-Forwarded-For": f"203.0.113.{number}"}
            assert client.get("/me", headers=guess).status_code == 200
        kinds = [event.type for event in made.manager.audit.events("system")]
        assert kinds.count("session_id_guessing") == 1
