"""The pages for debugging: off they are not there; on, only this machine and operators see them, and nobody sees a value."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import httpx
import pytest

from sessile.runtime.manager import AsyncSessionManager
from sessile.server.app import Service, create_app
from sessile.server.local import is_from_this_machine
from tests.integration.debug_pages import PAGES, SECRET, Answer, Get, nothing_is_there, only_this_machine_sees_them
from tests.integration.server.running import service_of, settings


def getter(service: Service, loop: asyncio.AbstractEventLoop, client: tuple[str, int] = ("127.0.0.1", 50000)) -> Get:
    async def get(path: str, headers: Mapping[str, str]) -> Answer:
        transport = httpx.ASGITransport(app=service, client=client)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as browser:
            answer = await browser.get(path, headers=dict(headers))
            return Answer(answer.status_code, answer.text)

    return lambda path, headers: asyncio.run_coroutine_threadsafe(get(path, headers), loop).result(20)


async def token_of(manager: AsyncSessionManager, user_id: str, *roles: str) -> str:
    issued = await manager.create_session(user_id, data={"note": SECRET}, public={"name": SECRET})
    if roles:
        await manager.change_principal(user_id, roles=roles)
    return issued.token


async def test_off_they_are_not_there() -> None:
    async with service_of() as service:
        token = await token_of(service.manager, "ada", "admin")
        get = getter(service, asyncio.get_running_loop())
        for headers in ({}, {"Authorization": f"Bearer {token}"}):
            await asyncio.to_thread(nothing_is_there, get, headers)


async def test_on_this_machine_sees_them() -> None:
    async with service_of(debug=True) as service:
        token = await token_of(service.manager, "ada")
        get = getter(service, asyncio.get_running_loop())
        await asyncio.to_thread(only_this_machine_sees_them, get, token)


async def test_from_elsewhere_only_operators_see_them() -> None:
    async with service_of(debug=True) as service:
        get = getter(service, asyncio.get_running_loop(), ("198.51.100.7", 50000))
        tokens = {role: await token_of(service.manager, role, role) for role in ("admin", "operator", "editor")}
        await asyncio.to_thread(nothing_is_there, get, {})
        await asyncio.to_thread(nothing_is_there, get, {"Authorization": f"Bearer {tokens['editor']}"})
        for role in ("admin", "operator"):
            headers = {"Authorization": f"Bearer {tokens[role]}", "X-Forwarded-For": "203.0.113.9"}
            for page in PAGES:
                answer = await asyncio.to_thread(get, f"/api/v0/debug/{page}", headers)
                assert answer.status == 200
                assert SECRET not in answer.text
                assert tokens[role] not in answer.text


async def test_over_plain_http_to_another_machine_it_says_why_there_is_no_cookie() -> None:
    async with service_of(debug=True) as service:
        token = await token_of(service.manager, "ada", "admin")
        get = getter(service, asyncio.get_running_loop())
        headers = {"Authorization": f"Bearer {token}", "Host": "app.example"}
        shown = (await asyncio.to_thread(get, "/api/v0/debug/cookie", headers)).json
        assert "plain http" in shown["would_set"]["refused"]
        assert (await asyncio.to_thread(get, "/api/v0/debug/request-cookies", headers)).json["expected_name"] is None


def test_they_are_not_described() -> None:
    service = create_app(AsyncSessionManager(settings(debug=True)), standalone=True)
    assert not [path for path in service.api.openapi()["paths"] if "debug" in path]


@pytest.mark.parametrize(
    ("client", "version", "headers", "expected"),
    [
        (("127.0.0.1", 1), "1.1", {}, True),
        (("::1", 1), "2", {}, True),
        (("127.8.9.1", 1), "1.1", {"host": "127.0.0.1:8000"}, True),
        (("10.0.0.1", 1), "1.1", {}, False),
        (("not an address", 1), "1.1", {}, False),
        (None, "1.1", {}, False),
        (("127.0.0.1", 1), "1.0", {}, False),
        (("127.0.0.1", 1), "1.1", {"host": "app.example"}, False),
        (("127.0.0.1", 1), "1.1", {"X-Forwarded-For": ""}, False),
    ],
)
def test_when_in_doubt_it_is_another_machine(
    client: tuple[str, int] | None, version: str, headers: dict[str, str], expected: bool
) -> None:
    sent = [(name.encode(), value.encode()) for name, value in {"host": "localhost", **headers}.items()]
    scope = {"type": "http", "client": client, "http_version": version, "headers": sent}
    assert is_from_this_machine(scope) is expected
