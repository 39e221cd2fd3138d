"""Who gets a socket: cookie and exact origin, or a token in the first frame (ASVS 5.0 section 4.4)."""

from __future__ import annotations

import json
from contextlib import AsyncExitStack

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from sessile.model.errors import StoreUnavailable
from sessile.server.realtime.hub import UNPROVEN_PER_ADDRESS_MAX
from sessile.testing.shows import shows_security
from tests.integration.server.peer import connected, device, hello
from tests.integration.server.running import Running, SettableClock, served, until

OTHER = "https://app.example:8443"


async def refused(server: Running, **options: str) -> tuple[int, dict[str, object]]:
    """Status and problem of a handshake that must fail."""
    with pytest.raises(InvalidStatus) as refusal:
        async with connected(server.socket_url, **options):
            pass
    response = refusal.value.response
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["cache-control"] == "private, no-store"
    return response.status_code, json.loads(response.body)


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "null",
        "https://app.example",
        "https://app.example:8443/",
        "https://app.example:84430",
        "https://APP.example:8443",
        "http://app.example:8443",
        "https://sub.app.example:8443",
        "https://app.example:8443.evil.example",
        "https://evil.example/https://app.example:8443",
        "https://xn--pp-8ia.example:8443",
    ],
)
@shows_security("V4.4.2", "V-16")
async def test_a_foreign_origin_is_refused_with_403(origin: str) -> None:
    async with served(allowed_origins=(OTHER,)) as server:
        status, problem = await refused(server, cookie=await server.token(), origin=origin)
        assert (status, problem["code"]) == (403, "origin_refused")
        status, problem = await refused(server, origin=origin)
        assert (status, problem["code"]) == (403, "origin_refused")


async def test_the_own_and_an_allowed_origin_are_taken() -> None:
    async with served(allowed_origins=(OTHER,)) as server:
        for origin in (server.origin, OTHER):
            async with connected(server.socket_url, cookie=await server.token(), origin=origin) as peer:
                assert (await peer.open())["session"]["user"] == {"id": "ada"}


@shows_security("V4.4.2")
async def test_two_origins_or_none_are_refused_with_a_cookie() -> None:
    async with served() as server:
        token = await server.token()
        # Two make no well-formed handshake at all, so the protocol's own layer refuses them.
        for headers, status in (([("Origin", server.origin), ("Origin", server.origin)], 400), ([], 403)):
            with pytest.raises(InvalidStatus) as refusal:
                await raw(server, [("Cookie", f"sessile={token}"), *headers])
            assert refusal.value.response.status_code == status


async def test_an_authorization_header_serves_programs() -> None:
    async with served() as server:
        async with raw_connection(server, [("Authorization", f"Bearer {await server.token()}")]) as socket:
            await socket.send(json.dumps(hello()))
            assert json.loads(await socket.recv())["type"] == "welcome"
        with pytest.raises(InvalidStatus) as refusal:
            await raw(server, [("Authorization", "Bearer nonsense")])
        assert refusal.value.response.status_code == 401


@shows_security("V4.4.4", "V7.4.1")
async def test_an_unknown_an_ended_and_an_expired_cookie_get_401_with_the_reason() -> None:
    clock = SettableClock()
    async with served(clock=clock) as server:
        status, problem = await refused(server, cookie="nonsense")
        assert (status, problem["reason"]) == (401, "unknown")
        issued = await server.manager.create_session("ada")
        await server.manager.destroy_session(issued.session.session_id)
        status, problem = await refused(server, cookie=issued.token)
        assert (status, problem["reason"]) == (401, "ended:logout")
        token = await server.token()
        clock.advance(90_000)
        status, problem = await refused(server, cookie=token)
        assert (status, problem["reason"]) == (401, "expired:idle")


@shows_security("V7.2.4", "V4.4.4")
async def test_the_token_of_before_a_login_gets_no_socket() -> None:
    async with served() as server:
        anonymous = await server.manager.create_session()
        await server.manager.login(anonymous.session.session_id, "ada")
        status, problem = await refused(server, cookie=anonymous.token)
        assert (status, problem["reason"]) == (401, "unknown")
        async with connected(server.socket_url) as peer:
            await peer.send(hello(token=anonymous.token))
            assert await peer.expect_close() == 4504


@shows_security("K-3")
async def test_two_cookies_of_our_name_are_no_session() -> None:
    async with served() as server:
        token = await server.token()
        status, problem = await refused(server, cookie=f"{token}; sessile={token}")
        assert (status, problem["reason"]) == (401, "duplicate_cookie")


@shows_security("V16.5.2")
async def test_an_outage_is_503_and_no_logout(monkeypatch: pytest.MonkeyPatch) -> None:
    async with served() as server:
        token = await server.token()

        async def away(_token: str) -> None:
            raise StoreUnavailable

        monkeypatch.setattr(server.manager, "authenticate", away)
        status, problem = await refused(server, cookie=token)
        assert (status, problem["code"], problem["retryable"]) == (503, "store_unavailable", True)
        async with connected(server.socket_url) as peer:
            await peer.send(hello(token=token))
            assert await peer.expect_close() == 4003


@shows_security("V7.2.1")
async def test_the_alias_takes_the_own_handle_only() -> None:
    async with served() as server:
        issued = await server.manager.create_session("ada")
        own = f"/session/{issued.session.session_id}"
        async with connected(server.socket_url, cookie=issued.token, path=own) as peer:
            await peer.open()
        status, _ = await refused(server, cookie=issued.token, path=f"/session/{device()}")
        assert status == 404
        status, _ = await refused(server, cookie=issued.token, path="/elsewhere")
        assert status == 404
        async with connected(server.socket_url, path=own) as peer:
            await peer.send(hello(token=await server.token("eve")))
            assert await peer.expect_close() == 4504


@shows_security("V14.2.1", "C-3")
async def test_a_token_in_the_address_is_not_looked_at() -> None:
    async with served() as server, connected(server.socket_url, path=f"?token={await server.token()}") as peer:
        await peer.send(hello())
        assert await peer.expect_close() == 4504


async def test_no_hello_in_time_closes_with_4002() -> None:
    async with served(hello_timeout_s=0.05) as server:
        async with connected(server.socket_url) as peer:
            assert await peer.expect_close() == 4002
        async with connected(server.socket_url, cookie=await server.token()) as peer:
            assert await peer.expect_close() == 4002


async def test_another_user_than_expected_closes_with_4503() -> None:
    async with served() as server:
        for expected in ("grace", None):
            async with connected(server.socket_url, cookie=await server.token("ada")) as peer:
                await peer.send(hello(user_id=expected))
                assert await peer.expect_close() == 4503
        async with connected(server.socket_url, cookie=await server.token("ada")) as peer:
            await peer.open(user_id="ada")


@shows_security("C-11")
async def test_sockets_without_a_credential_are_few_per_address() -> None:
    # None of them is sent away for its silence before the last one has come.
    async with served(hello_timeout_s=60) as server, AsyncExitStack() as open_ones:
        for _ in range(UNPROVEN_PER_ADDRESS_MAX):
            await open_ones.enter_async_context(connected(server.socket_url))
        status, problem = await refused(server)
        assert (status, problem["code"]) == (429, "too_many")
        # A cookie or an accepted token needs no such place.
        async with connected(server.socket_url, cookie=await server.token()) as peer:
            await peer.open()
        await open_ones.aclose()
        await until(lambda: not server.service.hub.connections)
        async with AsyncExitStack() as proven:
            for _ in range(UNPROVEN_PER_ADDRESS_MAX + 1):
                peer = await proven.enter_async_context(connected(server.socket_url))
                await peer.open(token=await server.token())


def raw_connection(server: Running, headers: list[tuple[str, str]]) -> connect:
    return connect(server.socket_url, additional_headers=headers, proxy=None)


async def raw(server: Running, headers: list[tuple[str, str]]) -> None:
    async with raw_connection(server, headers):
        pass
