"""Platforms over HTTP and the socket: the list, the switch, and a tab's own platform."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from sessile.model.errors import StoreUnavailable
from sessile.model.platform import PlatformEntry
from sessile.model.session import Issued
from sessile.runtime.manager import AsyncSessionManager
from sessile.testing import shows
from sessile.testing.shows import shows_security
from tests.integration.server.peer import connected
from tests.integration.server.running import SERVICE_KEY, client_of, served, service_of

SHOP = PlatformEntry(platform_id="shop", name="Shop", kind="shop", is_default=True)
MAIL = PlatformEntry(platform_id="Päckchen/ 1", name="Mail")
MAIL_ENCODED = "P%C3%A4ckchen%2F%201"
SHOWN_SHOP = {"id": "shop", "name": "Shop", "kind": "shop", "is_default": True}
SHOWN_MAIL = {"id": MAIL.platform_id, "name": "Mail", "kind": "", "is_default": False}
REFUSED = ("never", "eves", "old", "%FF", "", "p" * 65)


async def set_up(manager: AsyncSessionManager) -> Issued:
    """Ada on her shop; she has a mailbox too, had an old platform, and Eve has one."""
    await manager.open()
    await manager.sync_platforms("ada", [SHOP, MAIL, PlatformEntry(platform_id="old", name="Old")])
    await manager.sync_platforms("ada", [SHOP, MAIL])
    await manager.sync_platforms("eve", [PlatformEntry(platform_id="eves", name="Eve's secret")])
    return await manager.create_session("ada")


async def switch(client: httpx.AsyncClient, platform_id: Any, **more: Any) -> httpx.Response:
    return await client.post("/api/v0/session/platform", json={"platform_id": platform_id, **more})


async def test_a_page_sees_its_platform_everywhere() -> None:
    async with service_of() as service:
        made = await set_up(service.manager)
        async with client_of(service, token=made.token) as client:
            assert (await client.get("/api/v0/session/platforms")).json() == {"platforms": [SHOWN_MAIL, SHOWN_SHOP]}
            assert (await client.get("/api/session_state")).json()["platform"] == SHOWN_SHOP
            assert (await client.get("/api/v0/session")).json()["session"]["platform"] == SHOWN_SHOP
            (own,) = (await client.get("/api/v0/sessions")).json()["sessions"]
            assert own["platform"] == SHOWN_SHOP
            assert (await client.post("/api/v0/session/heartbeat")).json()["session"]["platform"] == SHOWN_SHOP
            refreshed = await client.post("/api/v0/session/refresh")
            assert refreshed.json()["session"]["platform"] == SHOWN_SHOP
            assert "sessile-platform" not in refreshed.headers


async def test_an_anonymous_visitor_has_no_platform() -> None:
    async with service_of() as service:
        await set_up(service.manager)
        made = await service.manager.create_session()
        async with client_of(service, token=made.token) as client:
            assert (await client.get("/api/v0/session/platforms")).json() == {"platforms": []}
            answer = await client.get("/api/session_state", headers={"sessile-platform": "shop"})
            assert (answer.status_code, answer.json()["platform"]) == (200, None)
            assert "sessile-platform" not in answer.headers
            assert (await switch(client, "shop")).status_code == 404
        async with client_of(service) as client:
            assert (await client.get("/api/v0/session/platforms")).status_code == 401
            assert (await switch(client, "shop")).status_code == 401


@shows("E01", "E02", "http")
async def test_a_switch_answers_with_the_session_and_the_slower_one_with_409() -> None:
    async with service_of() as service:
        made = await set_up(service.manager)
        async with client_of(service, token=made.token) as client:
            answer = await switch(client, MAIL.platform_id, expected_platform_id="shop")
            assert (answer.status_code, answer.json()["session"]["platform"]) == (200, SHOWN_MAIL)
            assert answer.json()["session"]["session_id"] == made.session.session_id
            for expected in ("shop", None):
                late = await switch(client, "shop", expected_platform_id=expected)
                assert (late.status_code, late.json()["code"]) == (409, "version_conflict")
                assert late.json()["current"] == {"platform_id": MAIL.platform_id}
            assert (await switch(client, "shop")).json()["session"]["platform"] == SHOWN_SHOP
            answers = await asyncio.gather(
                switch(client, MAIL.platform_id, expected_platform_id="shop"),
                switch(client, MAIL.platform_id, expected_platform_id="shop"),
            )
            assert sorted(answer.status_code for answer in answers) == [200, 409]


@shows("E04", "http")
@shows_security("V7.2.1")
async def test_an_outsider_does_not_learn_whether_there_is_such_a_platform() -> None:
    async with service_of() as service:
        made = await set_up(service.manager)
        async with client_of(service, token=made.token) as client:
            never, foreign = await switch(client, "never"), await switch(client, "eves")
            assert (never.status_code, never.json()["code"], never.json()["reason"]) == (
                404,
                "platform_refused",
                "missing",
            )
            assert never.content == foreign.content
            own = await switch(client, "old")
            assert (own.status_code, own.json()["reason"]) == (404, "inactive")
            named = [
                await client.get("/api/v0/session", headers={"sessile-platform": name}) for name in ("never", "eves")
            ]
            assert [answer.status_code for answer in named] == [404, 404]
            assert named[0].content == named[1].content
            for wrong in ("", "p" * 65, 7, None):
                assert (await switch(client, wrong)).status_code == 422
            assert (await client.get("/api/v0/session")).json()["session"]["platform"] == SHOWN_SHOP


async def test_a_forged_switch_is_refused() -> None:
    async with service_of() as service:
        made = await set_up(service.manager)
        async with client_of(service, token=made.token, origin=False) as client:
            answer = await client.post(
                "/api/v0/session/platform",
                json={"platform_id": MAIL.platform_id},
                headers={"origin": "https://evil.example"},
            )
            assert answer.status_code == 403
        assert (await service.manager.get_session(made.session.session_id)).platform_id == "shop"


@shows("E05", "http")
async def test_a_tab_has_its_own_platform_and_nothing_is_kept_of_it() -> None:
    async with service_of() as service:
        made = await set_up(service.manager)
        headers = {"sessile-platform": MAIL_ENCODED}
        async with client_of(service, token=made.token) as client:
            state = await client.get("/api/session_state", headers=headers)
            assert state.json()["platform"] == SHOWN_MAIL
            assert (await client.get("/api/session_state")).json()["platform"] == SHOWN_SHOP
            answers = [
                await client.get("/api/v0/session", headers=headers),
                await client.post("/api/v0/session/heartbeat", headers=headers),
                await client.post("/api/v0/session/refresh", headers=headers),
            ]
            assert [answer.json()["session"]["platform"] for answer in answers] == [SHOWN_MAIL] * 3
            assert {answer.headers["sessile-platform"] for answer in (state, *answers)} == {MAIL_ENCODED}
        session = await service.manager.get_session(made.session.session_id)
        assert session.platform_id == "shop"


@pytest.mark.parametrize("named", REFUSED)
async def test_a_tab_on_a_platform_that_is_not_the_users_is_refused(named: str) -> None:
    async with service_of() as service:
        made = await set_up(service.manager)
        headers = {"sessile-platform": named}
        async with client_of(service, token=made.token) as client:
            state = await client.get("/api/session_state", headers=headers)
            assert (state.status_code, state.json()["success"], state.json()["reason"]) == (
                404,
                False,
                "platform_refused",
            )
            refreshed = await client.post("/api/v0/session/refresh", headers=headers)
            assert (refreshed.status_code, refreshed.json()["code"]) == (404, "platform_refused")
            assert "set-cookie" not in refreshed.headers
            assert "sessile-platform" not in refreshed.headers
        # The token still is the current one: a refusal must not cost the session.
        assert (await service.manager.authenticate(made.token)).standing == "current"


async def test_two_headers_are_no_platform() -> None:
    async with service_of() as service:
        made = await set_up(service.manager)
        async with client_of(service, token=made.token) as client:
            headers = [("sessile-platform", "shop"), ("sessile-platform", MAIL_ENCODED)]
            assert (await client.get("/api/v0/session", headers=headers)).status_code == 404


async def test_an_outage_is_not_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    async with service_of() as service:
        made = await set_up(service.manager)

        async def away(*_given: object) -> None:
            raise StoreUnavailable

        monkeypatch.setattr(service.manager, "check_platform", away)
        async with client_of(service, token=made.token) as client:
            for path in ("/api/session_state", "/api/v0/session"):
                assert (await client.get(path, headers={"sessile-platform": "shop"})).status_code == 503
                assert (await client.get(path)).status_code == 200


async def test_a_trusted_service_names_a_platform() -> None:
    async with service_of() as service, client_of(service, origin=False) as client:
        await set_up(service.manager)
        headers = {"authorization": f"Bearer {SERVICE_KEY}"}
        for platform_id, begins_on in ((None, "shop"), (MAIL.platform_id, MAIL.platform_id)):
            body = {"user_id": "ada", "platform_id": platform_id}
            made = await client.post("/api/v0/sessions", json=body, headers=headers)
            assert (await service.manager.get_session(made.json()["session_id"])).platform_id == begins_on
        refused = await client.post("/api/v0/sessions", json={"user_id": "ada", "platform_id": "eves"}, headers=headers)
        assert (refused.status_code, refused.json()["code"]) == (404, "platform_refused")


@shows("E05", "socket")
async def test_a_socket_shows_the_sessions_platform_or_the_tabs_own() -> None:
    async with served() as server:
        made = await set_up(server.manager)
        for asked, shown in (
            ({}, SHOWN_SHOP),
            ({"platform_id": None}, SHOWN_SHOP),
            ({"platform_id": MAIL.platform_id}, SHOWN_MAIL),
        ):
            async with connected(server.socket_url, cookie=made.token) as peer:
                assert (await peer.open(**asked))["session"]["platform"] == shown
                await peer.barrier()
                assert "error" not in peer.kinds()
        assert (await server.manager.get_session(made.session.session_id)).platform_id == "shop"


@pytest.mark.parametrize("asked", ["never", "eves", "old"])
async def test_a_socket_whose_platform_is_refused_keeps_its_documents(asked: str) -> None:
    async with served() as server:
        made = await set_up(server.manager)
        async with connected(server.socket_url, cookie=made.token) as peer:
            welcome = await peer.open({"name": "form"}, platform_id=asked)
            assert welcome["session"]["platform"] == SHOWN_SHOP
            error = await peer.expect("error")
            assert (error["code"], error["retryable"]) == ("platform_refused", False)
            assert "Eve" not in str(peer.frames)
            await peer.expect("initial_state")


@shows("E01", "socket")
async def test_a_socket_hears_of_a_switch() -> None:
    async with served() as server:
        made = await set_up(server.manager)
        async with connected(server.socket_url, cookie=made.token) as peer:
            await peer.open()
            await server.manager.switch_platform(made.session.session_id, MAIL.platform_id)
            changed = await peer.expect("session_changed")
            assert changed["session_id"] == made.session.session_id


async def test_an_anonymous_socket_names_no_platform() -> None:
    async with served() as server:
        await set_up(server.manager)
        token = (await server.manager.create_session()).token
        async with connected(server.socket_url, cookie=token) as peer:
            assert (await peer.open(platform_id="shop"))["session"]["platform"] is None
            await peer.barrier()
            assert "error" not in peer.kinds()
