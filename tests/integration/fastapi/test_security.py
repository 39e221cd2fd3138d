"""What Sessile adds against theft and what pages of other sites could learn, in a FastAPI application."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from fastapi import Depends

from sessile.integrations.fastapi import CurrentSession, require_fresh
from sessile.testing.shows import shows_security
from sessile.web.guessing import UNKNOWN_MAX
from tests.integration.fastapi.site import Site, site

FIREFOX = {"user-agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "accept-language": "de,en;q=0.7"}  # fmt: skip
UPDATED = {**FIREFOX, "user-agent": FIREFOX["user-agent"].replace("140.0", "141.0.2")}
CHROME = {"user-agent": "Mozilla/5.0 (Windows NT 10.0) Chrome/156.0 Safari/537.36", "accept-language": "de,en;q=0.7"}


def with_routes(made: Site) -> Site:
    @made.app.post("/login")
    async def login(session: CurrentSession) -> None:
        await session.login("ada", provider_session="sid-1")

    @made.app.post("/try/{name}")
    async def try_login(session: CurrentSession, name: str) -> str:
        await session.count_login_try(name)
        return "go on"

    @made.app.post("/logout")
    async def logout(session: CurrentSession, again: bool = False) -> None:
        await session.logout()
        if again:
            session["said"] = "goodbye"

    @made.app.get("/me")
    async def me(session: CurrentSession) -> dict[str, Any]:
        return {"user": session.user_id, "reason": session.reason}

    return made


async def logged_in(client: httpx.AsyncClient) -> str:
    assert (await client.post("/login", headers=FIREFOX)).status_code == 200
    (handle,) = [cookie.value.partition(".")[0] for cookie in client.cookies.jar if cookie.value]
    return handle


@shows_security("C-13")
@pytest.mark.parametrize("mode", ["off", "report", "enforce"])
async def test_another_browser_with_the_cookie_is_told_and_refused_as_the_setting_says(mode: str) -> None:
    async with site(fingerprint=mode) as made:
        with_routes(made)
        async with made.client() as client:
            handle = await logged_in(client)
            for headers in (FIREFOX, UPDATED):
                assert (await client.get("/me", headers=headers)).json() == {"user": "ada", "reason": None}
            refused = {"user": None, "reason": "fingerprint"}
            expected = refused if mode == "enforce" else {"user": "ada", "reason": None}
            for _ in range(3):
                assert (await client.get("/me", headers=CHROME)).json() == expected
            service = await client.get("/api/v0/session", headers=CHROME)
            assert service.json()["authenticated"] is (mode != "enforce")
            (token,) = [cookie.value for cookie in client.cookies.jar]
        async with made.client() as thief:
            bearer = {"authorization": f"Bearer {token}"}
            assert (await thief.get("/me", headers={**CHROME, **bearer})).json() == expected
        events = [kind for kind in await made.audited(handle) if kind == "session_fingerprint_mismatch"]
        assert len(events) == (0 if mode == "off" else 1), "one event, not one for each request of a thief"


@shows_security("C-8", "V14.3.1", "K-5")
async def test_a_log_out_over_https_clears_what_the_browser_kept() -> None:
    async with site(clear_site_data=("cache", "storage")) as made:
        with_routes(made)
        for scheme, again, expected in (
            ("https", False, '"cache", "storage"'),
            ("https", True, None),  # a new session begins in the same answer, and must not be cleared away
            ("http", False, None),
        ):
            async with made.client(scheme=scheme) as client:
                assert "clear-site-data" not in (await client.post("/login")).headers
                answer = await client.post("/logout", params={"again": again})
                assert answer.headers.get("clear-site-data") == expected
        async with made.client(scheme="https") as client:
            await client.post("/login")
            answer = await client.post("/api/v0/session/logout", headers={"origin": "https://testserver"})
            assert (answer.status_code, answer.headers["clear-site-data"]) == (204, '"cache", "storage"')


@shows_security("V3.4.2")
async def test_no_other_site_reads_an_answer() -> None:
    async with site(allowed_origins=("https://friend.example",)) as made:
        with_routes(made)
        async with made.client() as client:
            await client.post("/login")
            for origin in ("https://evil.example", "null", "http://testserver", "https://friend.example"):
                for method, path in (("OPTIONS", "/me"), ("GET", "/me"), ("OPTIONS", "/api/v0/session"), ("GET", "/api/v0/session")):  # fmt: skip
                    asks = {"origin": origin, "access-control-request-method": "POST"}
                    answer = await client.request(method, path, headers=asks)
                    assert not [name for name in answer.headers if name.startswith("access-control-")]


@shows_security("V7.1.3", "V7.4.1")
async def test_the_providers_log_out_ends_the_session_here() -> None:
    async with site() as made:
        with_routes(made)
        async with made.client() as client:
            await logged_in(client)
            assert await made.manager.end_provider_sessions("sid-2") == 0
            assert (await client.get("/me")).json()["user"] == "ada"
            assert await made.manager.end_provider_sessions("sid-1") == 1
            assert (await client.get("/me")).json() == {"user": None, "reason": "ended:provider"}


@shows_security("C-9", "V16.5.2", "V16.5.3")
async def test_tries_to_log_in_are_limited_and_nobody_tries_while_nobody_can_count() -> None:
    async with site(login_tries_max=2) as made:
        with_routes(made)
        async with made.client() as client:
            spoofed = {"x-forwarded-for": "203.0.113.9", "x-real-ip": "203.0.113.9", "forwarded": "for=203.0.113.9"}
            for headers in ({}, spoofed):
                assert (await client.post("/try/ada", headers=headers)).status_code == 200
            refused = await client.post("/try/ada", headers=spoofed)
            assert refused.status_code == 429
            assert refused.json()["code"] == "too_many"
            assert refused.headers["retry-after"] == "300"
            assert (await client.post("/try/eve")).status_code == 200
            made.store.is_away = True
            away = await client.post("/try/bob")
            assert (away.status_code, away.json()["code"]) == (503, "store_unavailable")


@shows_security("C-9", "V4.1.3")
async def test_guessing_of_tokens_is_noticed_once_for_each_address() -> None:
    async with site() as made:
        with_routes(made)
        handle = (await made.manager.create_session("ada")).session.session_id
        guess = {"cookie": f"sessile={handle}.{'A' * 43}"}
        async with made.client() as client:
            for number in range(UNKNOWN_MAX + 5):
                path = "/me" if number % 2 else "/api/v0/session"
                assert (
                    await client.get(path, headers={**guess, "x-forwarded-for": f"203.0.113.{number}"})
                ).status_code == 200
        events = [event for event in await made.manager.audit.events("system") if event.type == "session_id_guessing"]
        assert [event.data["count"] for event in events] == [UNKNOWN_MAX]


@shows_security("V7.5.1")
async def test_a_recent_login_has_a_default_age() -> None:
    async with site(fresh_timeout_s=60) as made:
        with_routes(made)

        @made.app.get("/danger", dependencies=[Depends(require_fresh())])
        async def danger() -> str:
            return "done"

        async with made.client() as client:
            await client.post("/login")
            assert (await client.get("/danger")).status_code == 200
            made.clock.advance(61)
            refused = await client.get("/danger")
            assert (refused.status_code, refused.json()["max_age_s"]) == (403, 60)


@shows_security("N-1", "N-4")
async def test_with_a_preset_the_browser_forgets_the_cookie_and_the_server_keeps_the_time() -> None:
    async with site(preset="aal2") as made:
        with_routes(made)
        async with made.client(scheme="https") as client:
            answer = await client.post("/login")
            assert "Max-Age" not in answer.headers["set-cookie"]
            made.clock.advance(31)
            refreshed = await client.post("/api/v0/session/refresh", headers={"origin": "https://testserver"})
            assert "Max-Age" not in refreshed.headers["set-cookie"]
            made.clock.advance(3600)
            assert (await client.get("/me")).json() == {"user": None, "reason": "expired:idle"}
