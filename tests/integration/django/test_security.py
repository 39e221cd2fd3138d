"""What Sessile adds against theft and what pages of other sites could learn, in a Django project."""

from __future__ import annotations

import pytest
from django.test import Client, override_settings

from sessile.integrations.django import get_manager, process
from sessile.integrations.django.configuration import configuration
from sessile.testing.shows import shows_security
from sessile.web.guessing import UNKNOWN_MAX
from tests.integration.fastapi.test_security import CHROME, FIREFOX, UPDATED

pytestmark = pytest.mark.usefixtures("memory", "users")


@shows_security("C-13")
@pytest.mark.parametrize("mode", ["off", "report", "enforce"])
@pytest.mark.parametrize("view", ["whoami", "async/whoami"])
def test_another_browser_with_the_cookie_is_told_and_refused_as_the_setting_says(mode: str, view: str) -> None:
    with override_settings(SESSILE={"DATABASE_URL": "memory://", "FINGERPRINT": mode}):
        process.use(process.Process(configuration()))
        client = Client()
        user_id = client.get("/login/ada", headers=FIREFOX).content.decode()
        (handle,) = [one.session_id for one in get_manager().list_sessions(user_id)]
        for headers in (FIREFOX, UPDATED):
            assert client.get(f"/{view}", headers=headers).status_code == 200
        for _ in range(3):
            answer = client.get(f"/{view}", headers=CHROME)
            refused = answer.status_code != 200 or answer.json()["sessile"] is None
            assert refused is (mode == "enforce")
        kinds = [event.type for event in get_manager().audit.events(f"session:{handle}")]
        assert kinds.count("session_fingerprint_mismatch") == (0 if mode == "off" else 1)


@shows_security("C-8", "V14.3.1", "K-5")
def test_a_log_out_over_https_clears_what_the_browser_kept() -> None:
    for secure, expected in ((True, '"cache"'), (False, None)):
        client = Client()
        client.get("/login/ada", secure=secure)
        assert client.get("/logout", secure=secure).headers.get("Clear-Site-Data") == expected


@shows_security("V3.4.2")
def test_no_other_site_reads_an_answer() -> None:
    client = Client()
    client.get("/login/ada")
    for origin in ("https://evil.example", "null"):
        for path in ("/whoami", "/get/x"):
            for method in ("GET", "OPTIONS"):
                answer = client.generic(method, path, headers={"Origin": origin})
                assert not [name for name in answer.headers if name.lower().startswith("access-control-")]


@shows_security("V7.1.3", "V7.4.1")
def test_the_providers_log_out_ends_the_session_here() -> None:
    issued = get_manager().login(None, "own", provider_session="sid-1")
    client = Client()
    client.cookies["sessionid"] = issued.token
    assert client.get("/async/whoami").json()["sessile"] == "own"
    assert get_manager().end_provider_sessions("sid-1") == 1
    assert client.get("/async/whoami").json()["sessile"] is None


@shows_security("C-9", "V4.1.3")
def test_guessing_of_tokens_is_noticed_once_for_each_address() -> None:
    handle = get_manager().create_session("ada").session.session_id
    for number in range(UNKNOWN_MAX + 5):
        client = Client(headers={"X-Forwarded-For": f"203.0.113.{number}"})
        client.cookies["sessionid"] = f"{handle}.{'A' * 43}"
        client.get("/get/x")
    kinds = [event.type for event in get_manager().audit.events("system")]
    assert kinds.count("session_id_guessing") == 1


@shows_security("C-9", "V16.5.3")
def test_tries_to_log_in_are_limited() -> None:
    with override_settings(SESSILE={"DATABASE_URL": "memory://", "LOGIN_TRIES_MAX": 2}):
        process.use(process.Process(configuration()))
        client = Client(headers={"X-Forwarded-For": "203.0.113.9"})
        assert [client.get("/try/ada").status_code for _ in range(2)] == [200, 200]
        for path in ("/try/ada", "/async/try/ada"):
            refused = client.get(path, headers={"X-Forwarded-For": "203.0.113.10"})
            assert (refused.status_code, refused.headers["Retry-After"]) == (429, "300")
