"""Continuing on another device, over HTTP: two browsers, one code, and nobody in who was not let in."""

from __future__ import annotations

import logging
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from sessile.server.app import Service
from tests.integration.server.peer import connected
from tests.integration.server.running import SettableClock, client_of, served, service_of

UUID = "01900000-0000-7000-8000-000000000000"


@asynccontextmanager
async def two(service: Service) -> AsyncIterator[tuple[httpx.AsyncClient, httpx.AsyncClient]]:
    """The browser of somebody who is logged in, and one that nobody knows yet."""
    issued = await service.manager.create_session("ada", public={"name": "Ada"})
    async with client_of(service, token=issued.token) as first, client_of(service) as second:
        yield first, second


async def ask(client: httpx.AsyncClient, step: str, /, **body: Any) -> httpx.Response:
    return await client.post(f"/api/v0/handoff{step}", json=body)


async def test_the_other_device_is_logged_in_once_the_first_one_has_agreed() -> None:
    async with service_of(handoff_path="/sign-in") as service, two(service) as (first, second):
        offer = (await ask(first, "", path="/intake?document=1")).json()
        assert re.fullmatch(r"[0-9A-Z]{4}-[0-9A-Z]{4}", offer["code"])
        assert re.fullmatch(r"http://testserver/sign-in#[A-Za-z0-9_-]{22}", offer["url"])
        assert offer["qr_svg"].startswith("<svg")
        assert "<script" not in offer["qr_svg"]
        redeemed = await ask(
            second, "/redeem", code=offer["code"].lower().replace("-", " "), device={"label": "Ada's phone"}
        )
        assert redeemed.json()["user"] == {"name": "Ada"}
        claim = {"handoff_id": offer["handoff_id"], "claim": redeemed.json()["claim"]}
        waiting = await ask(second, "/complete", **claim)
        assert (waiting.status_code, waiting.json()) == (202, {"status": "redeemed"})
        seen = (await first.get(f"/api/v0/handoff/{offer['handoff_id']}")).json()
        assert (seen["status"], seen["device"]["label"]) == ("redeemed", "Ada's phone")
        assert (await ask(first, "/confirm", handoff_id=offer["handoff_id"], accept=True)).json()[
            "status"
        ] == "confirmed"
        done = await ask(second, "/complete", **claim)
        assert (done.json()["status"], done.json()["path"]) == ("completed", "/intake?document=1")
        assert "token" not in done.json()
        assert "HttpOnly" in done.headers["set-cookie"]
        own = (await second.get("/api/v0/session")).json()
        assert (own["authenticated"], own["session"]["user"]["id"]) == (True, "ada")
        sessions = (await first.get("/api/v0/sessions")).json()["sessions"]
        assert len(sessions) == 2
        assert {session["device"].get("label") for session in sessions} == {"Unknown device", "Ada's phone"}


async def test_a_client_that_is_no_browser_gets_the_token_in_the_answer() -> None:
    async with service_of() as service, two(service) as (first, second):
        offer = (await ask(first, "")).json()
        secret = offer["url"].partition("#")[2]
        claim = (await ask(second, "/redeem", code=secret)).json()["claim"]
        await ask(first, "/confirm", handoff_id=offer["handoff_id"], accept=True)
        done = await ask(second, "/complete", handoff_id=offer["handoff_id"], claim=claim, bearer=True)
        assert "set-cookie" not in done.headers
        session = await service.manager.authenticate(done.json()["token"])
        assert (session.user_id, session.authenticated_at) == ("ada", None)


async def test_who_is_refused_or_guesses_gets_nothing() -> None:
    async with service_of() as service, two(service) as (first, second):
        offer = (await ask(first, "")).json()
        claim = (await ask(second, "/redeem", code=offer["code"])).json()["claim"]
        again = await ask(second, "/redeem", code=offer["code"])
        assert (again.status_code, again.json()["code"]) == (404, "handoff_refused")
        await ask(first, "/confirm", handoff_id=offer["handoff_id"], accept=False)
        refused = await ask(second, "/complete", handoff_id=offer["handoff_id"], claim=claim)
        assert (refused.status_code, refused.json()["reason"]) == (404, "refused")
        guessed = await ask(second, "/complete", handoff_id=offer["handoff_id"], claim="A" * 22)
        assert (guessed.status_code, guessed.json()["reason"]) == (404, "unknown")
        for code in ("0000-0000", "x", "AAAA-AAAA", "9999-9999"):
            assert (await ask(second, "/redeem", code=code)).status_code == 404
        slowed = await ask(second, "/redeem", code="1111-1111")
        assert (slowed.status_code, slowed.json()["code"], slowed.headers["retry-after"]) == (429, "too_many", "120")


async def test_wrong_codes_are_counted_for_each_address_by_itself() -> None:
    async with service_of() as service:
        for last in (1, 2):
            transport = httpx.ASGITransport(app=service, client=(f"192.0.2.{last}", 1))
            async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
                answers = [(await ask(client, "/redeem", code="0000-0000")).status_code for _ in range(6)]
            assert answers == [404] * 5 + [429]


async def test_only_who_offered_it_confirms_it_and_only_somebody_offers() -> None:
    async with service_of() as service, two(service) as (first, second):
        offer = (await ask(first, "")).json()
        await ask(second, "/redeem", code=offer["code"])
        eve = await service.manager.create_session("eve")
        anonymous = await service.manager.create_session()
        async with client_of(service, token=eve.token) as other, client_of(service, token=anonymous.token) as nobody:
            stolen = await ask(other, "/confirm", handoff_id=offer["handoff_id"], accept=True)
            assert (stolen.status_code, stolen.json()["reason"]) == (404, "unknown")
            assert (await other.get(f"/api/v0/handoff/{offer['handoff_id']}")).status_code == 404
            assert (await ask(nobody, "")).status_code == 401
        assert (await ask(second, "")).status_code == 401
        assert (await ask(first, "", path="//evil.example")).status_code == 422
        assert (await ask(first, "/confirm", handoff_id=UUID, accept=True)).status_code == 404


async def test_a_lost_answer_costs_nothing_while_nobody_has_used_it() -> None:
    async with service_of() as service, two(service) as (first, second):
        offer = (await ask(first, "")).json()
        claim = (await ask(second, "/redeem", code=offer["code"])).json()["claim"]
        await ask(first, "/confirm", handoff_id=offer["handoff_id"], accept=True)
        wanted = {"handoff_id": offer["handoff_id"], "claim": claim, "bearer": True}
        lost = (await ask(second, "/complete", **wanted)).json()["token"]
        token = (await ask(second, "/complete", **wanted)).json()["token"]
        session = await service.manager.authenticate(token)
        assert not (await service.manager.authenticate(lost)).is_authenticated
        await service.manager.touch_session(session)
        await service.manager._touches.write()
        assert (await ask(second, "/complete", **wanted)).status_code == 404


async def test_what_was_begun_anonymously_comes_along() -> None:
    async with service_of() as service, two(service) as (first, _):
        anonymous = await service.manager.create_session()
        async with client_of(service, token=anonymous.token) as second:
            await second.put("/api/v0/documents/by-name/draft", json={"default": {"why": "dent"}})
            offer = (await ask(first, "")).json()
            claim = (await ask(second, "/redeem", code=offer["code"])).json()["claim"]
            await ask(first, "/confirm", handoff_id=offer["handoff_id"], accept=True)
            done = (await ask(second, "/complete", handoff_id=offer["handoff_id"], claim=claim)).json()
            assert done["session"]["session_id"] == anonymous.session.session_id
        found = (await first.get("/api/v0/documents")).json()["documents"]
        assert [document["name"] for document in found] == ["draft"]


async def test_a_code_that_nobody_used_in_time_is_none() -> None:
    clock = SettableClock()
    async with service_of(clock=clock) as service, two(service) as (first, second):
        offer = (await ask(first, "")).json()
        clock.advance(121)
        assert (await ask(second, "/redeem", code=offer["code"])).status_code == 404
        assert (await first.get(f"/api/v0/handoff/{offer['handoff_id']}")).status_code == 404


async def test_the_first_devices_socket_is_told_and_no_secret_is_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    for name in ("sessile", "uvicorn.access"):
        caplog.set_level(logging.DEBUG, name)
    async with served() as running:
        token = await running.token()
        async with (
            connected(running.socket_url, cookie=token) as peer,
            httpx.AsyncClient(base_url=running.origin, headers={"authorization": f"Bearer {token}"}) as first,
            httpx.AsyncClient(base_url=running.origin) as second,
        ):
            await peer.open()
            offer = (await ask(first, "")).json()
            claim = (await ask(second, "/redeem", code=offer["code"])).json()["claim"]
            told = await peer.expect("handoff_changed")
            assert (told["handoff_id"], told["status"]) == (offer["handoff_id"], "redeemed")
            await ask(first, "/confirm", handoff_id=offer["handoff_id"], accept=True)
            assert (await peer.expect("handoff_changed"))["status"] == "confirmed"
            done = await ask(second, "/complete", handoff_id=offer["handoff_id"], claim=claim, bearer=True)
            assert (await peer.expect("handoff_changed"))["status"] == "completed"
            for secret in (offer["code"], offer["url"].partition("#")[2], claim, done.json()["token"]):
                assert secret not in caplog.text
