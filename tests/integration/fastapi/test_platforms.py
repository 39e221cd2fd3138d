"""`session.platform_id`: the session's, or the one that a request names for itself; and the switch."""

from __future__ import annotations

from typing import Any

import pytest

from sessile.integrations.fastapi import CurrentSession
from sessile.model.platform import PlatformEntry
from sessile.testing import shows
from tests.integration.fastapi.site import Site, set_cookies, site, token_of

SHOP = PlatformEntry(platform_id="shop", name="Shop", is_default=True)
MAIL = PlatformEntry(platform_id="mail", name="Mail")
NAMED = {"sessile-platform": "mail"}


async def with_routes(here: Site) -> Site:
    app = here.app

    @app.post("/login/{name}")
    async def login(name: str, session: CurrentSession, on: str | None = None):
        before = session.platform_id
        await session.login(name, platform_id=on)
        return {"before": before, "platform": session.platform_id}

    @app.post("/logout")
    async def logout(session: CurrentSession):
        await session.logout()
        return session.platform_id

    @app.get("/platform")
    async def platform(session: CurrentSession):
        return session.platform_id

    @app.get("/user")
    async def user(session: CurrentSession):
        return session.user_id

    @app.get("/plain")
    async def plain():
        return "the same for all"

    @app.post("/switch/{platform_id}")
    async def switch(platform_id: str, session: CurrentSession, expected: str | None = None):
        more = {"expected": expected} if expected is not None else {}
        await session.switch_platform(platform_id, **more)
        return session.platform_id

    @app.post("/switch-in-a-thread/{platform_id}")
    def switch_in_a_thread(platform_id: str, session: CurrentSession):
        session.switch_platform(platform_id)
        return session.platform_id

    await here.manager.sync_platforms("ann", [SHOP, MAIL])
    await here.manager.sync_platforms("eve", [PlatformEntry(platform_id="eves", name="Eve's")])
    return here


@shows("A01", "E04", "http")
async def test_a_login_begins_on_the_default_and_a_switch_moves_it(database_url: str) -> None:
    async with site(database_url) as here, (await with_routes(here)).client() as client:
        assert (await client.post("/login/ann")).json() == {"before": None, "platform": "shop"}
        assert (await client.post("/switch/mail?expected=shop")).json() == "mail"
        assert (await client.get("/platform")).json() == "mail"
        late = await client.post("/switch/shop?expected=shop")
        assert (late.status_code, late.json()["current"]) == (409, {"platform_id": "mail"})
        assert (await client.post("/switch-in-a-thread/shop")).json() == "shop"
        assert (await client.get("/platform")).json() == "shop"
        for platform_id in ("eves", "never"):
            refused = await client.post(f"/switch/{platform_id}")
            assert (refused.status_code, refused.json()["reason"]) == (404, "missing")
        assert (await client.post("/logout")).json() is None
        assert (await client.post("/switch/mail")).status_code == 401


async def test_a_login_begins_on_the_platform_that_is_named(database_url: str) -> None:
    async with site(database_url) as here, (await with_routes(here)).client() as client:
        refused = await client.post("/login/ann?on=eves")
        assert (refused.status_code, refused.json()["code"]) == (404, "platform_refused")
        assert set_cookies(refused) == []
        assert (await client.get("/user")).json() is None
        assert (await client.post("/login/ann?on=mail")).json() == {"before": None, "platform": "mail"}


@shows("E05", "http")
async def test_a_request_names_its_own_platform(database_url: str) -> None:
    async with site(database_url) as here, (await with_routes(here)).client() as client:
        await client.post("/login/ann")
        answer = await client.get("/platform", headers=NAMED)
        assert (answer.json(), answer.headers["sessile-platform"]) == ("mail", "mail")
        answer = await client.get("/platform")
        assert answer.json() == "shop"
        assert "sessile-platform" not in answer.headers
        answer = await client.get("/plain", headers=NAMED)
        assert "sessile-platform" not in answer.headers, "who does not use the session depends on nothing"
        assert (await client.post("/switch/shop", headers=NAMED)).json() == "mail", "the tab's own wins in its request"
        assert (await here.record(token_of(client))).platform_id == "shop"


@shows("E04", "http")
@pytest.mark.parametrize("named", ["eves", "never", "%FF"])
async def test_a_platform_that_is_refused_is_404_for_who_asks_for_it(named: str, database_url: str) -> None:
    async with site(database_url) as here, (await with_routes(here)).client() as client:
        await client.post("/login/ann")
        headers = {"sessile-platform": named}
        answer = await client.get("/platform", headers=headers)
        assert (answer.status_code, answer.json()["code"], answer.json()["reason"]) == (
            404,
            "platform_refused",
            "missing",
        )
        answer = await client.get("/user", headers=headers)
        assert (answer.status_code, answer.json()) == (200, "ann")
        assert "sessile-platform" not in answer.headers


async def test_a_visitor_has_no_platform_and_a_login_looks_again(database_url: str) -> None:
    async with site(database_url) as here, (await with_routes(here)).client() as client:
        answer = await client.get("/platform", headers=NAMED)
        assert (answer.status_code, answer.json()) == (200, None)
        assert "sessile-platform" not in answer.headers
        answer = await client.post("/login/ann", headers=NAMED)
        assert (answer.json(), answer.headers["sessile-platform"]) == ({"before": None, "platform": "mail"}, "mail")
        assert (await here.record(token_of(client))).platform_id == "shop", "the header is never stored"
        answer = await client.post("/login/eve", headers=NAMED)
        assert (answer.status_code, answer.json()["code"]) == (404, "platform_refused"), "Ann's is not Eve's"


async def test_a_store_that_is_away_is_503_only_for_who_asks_for_the_platform(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with site(database_url) as here, (await with_routes(here)).client() as client:
        await client.post("/login/ann")
        check = here.manager.check_platform

        async def away(*given: Any) -> Any:
            here.store.is_away = True
            try:
                return await check(*given)
            finally:
                here.store.is_away = False

        monkeypatch.setattr(here.manager, "check_platform", away)
        assert (await client.get("/platform", headers=NAMED)).status_code == 503
        assert (await client.get("/user", headers=NAMED)).json() == "ann"
        assert (await client.get("/platform")).json() == "shop"
