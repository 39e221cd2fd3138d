"""Tokens of forms: worth something in the session whose page they stand in, and nowhere else."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import pytest
from fastapi import Depends

from sessile.integrations.fastapi import CurrentSession, require_csrf
from sessile.model.errors import CsrfFailed
from sessile.testing.shows import shows_security
from sessile.web.csrf import check_csrf_token, csrf_token
from tests.integration.fastapi.site import Site, site

KEYS = ("a key of thirty-two characters..", "another key of thirty-two chars.")


def add_routes(here: Site) -> None:
    @here.app.get("/page")
    async def page(session: CurrentSession) -> dict[str, str]:
        return {"token": await session.csrf_token()}

    @here.app.post("/sent", dependencies=[Depends(require_csrf)])
    async def sent(session: CurrentSession) -> dict[str, Any]:
        return {"user": session.user_id}

    @here.app.post("/login/{name}")
    async def login(name: str, session: CurrentSession) -> None:
        await session.login(name)

    @here.app.post("/rotate")
    async def rotate(session: CurrentSession) -> None:
        await session.rotate()


@shows_security("C-12")
async def test_a_form_of_the_sessions_own_page_is_taken() -> None:
    async with site() as here:
        add_routes(here)
        async with here.client() as browser, here.client() as other:
            await browser.post("/login/ada")
            await other.post("/login/eve")
            token = (await browser.get("/page")).json()["token"]
            assert (await browser.get("/page")).json()["token"] != token, "each page has one of its own"
            handle = (await browser.get("/api/v0/session")).json()["session"]["session_id"]
            assert handle not in token
            assert handle.replace("-", "") not in token
            assert (await browser.post("/sent", data={"csrf_token": token})).json() == {"user": "ada"}
            assert (await browser.post("/sent", headers={"X-CSRF-Token": token})).status_code == 200
            by_api = (await browser.get("/api/v0/session/csrf")).json()["csrf_token"]
            assert (await browser.post("/sent", data={"csrf_token": by_api})).status_code == 200
            await browser.post("/rotate")
            assert (await browser.post("/sent", data={"csrf_token": token})).status_code == 200, (
                "a page outlives a new token"
            )
            refused = [
                await other.post("/sent", data={"csrf_token": token}),
                await browser.post("/sent"),
                await browser.post("/sent", data={"csrf_token": token[:-4] + "AAAA"}),
                await browser.post("/sent", data={"csrf_token": "not a token"}),
                await browser.post("/sent", headers={"X-CSRF-Token": ""}),
                await browser.post(
                    "/sent",
                    content=f"csrf_token={token}&csrf_token=x",
                    headers={"content-type": "application/x-www-form-urlencoded"},
                ),
            ]
            assert [(answer.status_code, answer.json()["code"]) for answer in refused] == [(403, "csrf_failed")] * 6


@shows_security("C-12")
async def test_a_token_from_before_a_login_is_worth_nothing_after_it() -> None:
    async with site() as here:
        add_routes(here)

        @here.app.post("/begin")
        async def begin(session: CurrentSession) -> dict[str, str]:
            session["basket"] = 1
            await session.save()
            return {"token": await session.csrf_token()}

        async with here.client() as browser:
            token = (await browser.post("/begin")).json()["token"]
            handle = (await browser.get("/api/v0/session")).json()["session"]["session_id"]
            await browser.post("/login/ada")
            assert (await browser.get("/api/v0/session")).json()["session"]["session_id"] == handle
            assert (await browser.post("/sent", data={"csrf_token": token})).status_code == 403


async def test_without_a_session_there_is_no_token() -> None:
    async with site() as here:
        add_routes(here)
        async with here.client() as browser:
            assert (await browser.get("/page")).status_code == 401
            assert (await browser.get("/api/v0/session/csrf")).json()["reason"] == "no_cookie"


@pytest.mark.parametrize(
    ("before", "after", "is_good"), [((KEYS[0],), KEYS[::-1], True), ((KEYS[0],), (KEYS[1],), False)]
)
async def test_keys_can_be_exchanged_while_pages_are_open(
    before: tuple[str, ...], after: tuple[str, ...], is_good: bool
) -> None:
    async with site(secret_keys=before) as first, site(secret_keys=after) as second:
        token = await csrf_token(first.manager, "a session", "ada")
        with nullcontext() if is_good else pytest.raises(CsrfFailed):
            await check_csrf_token(second.manager, "a session", "ada", token)
