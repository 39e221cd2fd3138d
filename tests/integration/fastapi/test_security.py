"""What Sessile adds against theft and what pages of other sites could learn, in a FastAPI application."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from sessile.integrations.fastapi import CurrentSession
from sessile.testing.shows import shows_security
from tests.integration.fastapi.site import Site, site

FIREFOX = {"user-agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "accept-language": "de,en;q=0.7"}  # fmt: skip
UPDATED = {**FIREFOX, "user-agent": FIREFOX["user-agent"].replace("140.0", "141.0.2")}
CHROME = {"user-agent": "Mozilla/5.0 (Windows NT 10.0) Chrome/156.0 Safari/537.36", "accept-language": "de,en;q=0.7"}


def with_routes(made: Site) -> Site:
    @made.app.post("/login")
    async def login(session: CurrentSession) -> None:
        await session.login("ada", provider_session="sid-1")

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
