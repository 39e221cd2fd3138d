"""Requests, answers and faults over HTTP."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import httpx
import pytest

from sessile.client.credential import Credential
from sessile.client.errors import ClientClosed, ConnectionLost, NoSuchAddress, NotConnected, ServerRefused
from sessile.client.transport import Transport, segment
from sessile.model.errors import SessionNotFound, StoreUnavailable
from tests.unit.client.fake_service import URL, FakeService, problem, token


def transport_on(service: FakeService, source: str | None = None, **more: Any) -> Transport:
    return Transport(URL, credential=Credential(source or token()), over=service.transport, **more)


def failing(error: Exception) -> FakeService:
    def fail(_request: httpx.Request) -> httpx.Response:
        raise error

    return FakeService({"GET x": fail, "POST x": fail})


async def test_a_request_carries_the_token_in_a_header_and_nowhere_else() -> None:
    service = FakeService({"POST x": {"ok": True}})
    transport = transport_on(service)
    assert await transport.post("x", {"a": 1}) == {"ok": True}
    (request,) = service.requests
    assert request.headers["authorization"] == f"Bearer {token()}"
    assert request.headers["content-type"] == "application/json"
    assert str(request.url) == f"{URL}api/v0/x"
    assert request.content == b'{"a":1}'
    await transport.close()


async def test_without_a_credential_nobody_asks() -> None:
    service = FakeService({"GET x": {}})
    transport = Transport(URL, over=service.transport)
    await transport.get("x")
    assert "authorization" not in service.requests[0].headers
    await transport.close()


async def test_the_token_is_in_no_log_no_repr_and_no_error(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    service = FakeService({"GET x": {}, "GET y": problem("store_unavailable", 503)})
    transport = transport_on(service)
    await transport.get("x")
    with pytest.raises(StoreUnavailable) as refused:
        await transport.get("y")
    secret = token().split(".")[1]
    assert secret not in caplog.text + repr(transport) + repr(refused.value) + repr(Credential(token()))
    await transport.close()


@pytest.mark.parametrize("text", ["", "no token", token() + "\r\nx: y", token() + "x"])
async def test_what_is_no_token_is_not_sent(text: str) -> None:
    service = FakeService({"GET x": {}})
    transport = transport_on(service, text or " ")
    with pytest.raises(SessionNotFound) as refused:
        await transport.get("x")
    assert service.requests == []
    assert "x: y" not in repr(refused.value)
    await transport.close()


async def test_the_platform_of_the_client_goes_with_each_request() -> None:
    service = FakeService({"GET x": {}})
    transport = transport_on(service, platform_id="a/ü")
    await transport.get("x")
    assert service.requests[0].headers["sessile-platform"] == "a%2F%C3%BC"
    await transport.close()


async def test_a_redirect_is_not_followed() -> None:
    elsewhere = httpx.Response(307, headers={"location": "https://elsewhere.example/"})
    service = FakeService({"GET x": elsewhere})
    transport = transport_on(service)
    with pytest.raises(ServerRefused) as refused:
        await transport.get("x")
    assert refused.value.server_code == "http_307"
    assert len(service.requests) == 1
    await transport.close()


async def test_cookies_are_not_kept() -> None:
    service = FakeService({"GET x": httpx.Response(200, json={}, headers={"set-cookie": "sessile=other; Path=/"})})
    transport = transport_on(service)
    await transport.get("x")
    await transport.get("x")
    assert "cookie" not in service.requests[1].headers
    await transport.close()


@pytest.mark.parametrize(
    "error", [httpx.ConnectError("refused"), httpx.ConnectTimeout("late"), httpx.PoolTimeout("full")]
)
async def test_what_cannot_have_arrived_has_not_happened(error: Exception) -> None:
    transport = transport_on(failing(error))
    for method in ("GET", "POST"):
        with pytest.raises(NotConnected):
            await transport.ask(method, "x")
    await transport.close()


@pytest.mark.parametrize(
    "error",
    [httpx.ReadTimeout("late"), httpx.WriteError("cut"), httpx.RemoteProtocolError("cut"), httpx.ReadError("cut")],
)
async def test_what_may_have_arrived_may_have_happened_unless_it_only_reads(error: Exception) -> None:
    transport = transport_on(failing(error))
    with pytest.raises(ConnectionLost):
        await transport.post("x")
    with pytest.raises(NotConnected):
        await transport.get("x")
    await transport.close()


@pytest.mark.parametrize(
    ("response", "code", "is_retryable"),
    [
        (httpx.Response(200, html="<h1>Sign in</h1>"), "http_200", False),
        (httpx.Response(200, text="{}"), "http_200", False),
        (httpx.Response(200, content=b"{", headers={"content-type": "application/json"}), "http_200", False),
        (httpx.Response(502, html="<h1>Bad gateway</h1>"), "http_502", True),
        (httpx.Response(409, json={"code": "version_conflict"}), "http_409", False),
        (httpx.Response(400, content=b"[]", headers={"content-type": "application/problem+json"}), "http_400", False),
        (httpx.Response(400, content=b"{", headers={"content-type": "application/problem+json"}), "http_400", False),
    ],
)
async def test_what_is_not_the_services_answer_is_not_taken_for_one(
    response: httpx.Response, code: str, is_retryable: bool
) -> None:
    transport = transport_on(FakeService({"GET x": response}))
    with pytest.raises(ServerRefused) as refused:
        await transport.get("x")
    assert (refused.value.server_code, refused.value.is_retryable) == (code, is_retryable)
    await transport.close()


async def test_no_content_is_none_and_an_unknown_address_says_so() -> None:
    transport = transport_on(FakeService({"POST x": httpx.Response(204)}))
    assert await transport.post("x") is None
    with pytest.raises(NoSuchAddress):
        await transport.get("y")
    await transport.close()


async def test_closing_tells_whoever_waits() -> None:
    asked = asyncio.Event()

    async def never(_request: httpx.Request) -> httpx.Response:
        asked.set()
        await asyncio.Event().wait()
        raise AssertionError

    transport = transport_on(FakeService({"POST x": never}))
    waiting = asyncio.create_task(transport.post("x"))
    await asked.wait()
    await transport.close()
    with pytest.raises(ClientClosed):
        await waiting
    with pytest.raises(ClientClosed):
        await transport.post("x")


async def test_a_caller_that_is_cancelled_is_cancelled() -> None:
    asked = asyncio.Event()

    async def never(_request: httpx.Request) -> httpx.Response:
        asked.set()
        await asyncio.Event().wait()
        raise AssertionError

    transport = transport_on(FakeService({"POST x": never}))
    waiting = asyncio.create_task(transport.post("x"))
    await asked.wait()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await transport.close()


def test_any_text_is_one_segment() -> None:
    assert segment("a/b?c#d%ü") == "a%2Fb%3Fc%23d%25%C3%BC"
