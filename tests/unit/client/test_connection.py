"""Opening, welcome, pings, parts, loss and every way it can end, against a server that does what the test says."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import pytest
from websockets.http11 import Request, Response

from sessile.client import Backoff, Client, ClientClosed, ConnectionRefused, ConnectionStatus, NotConnected, Outbox
from sessile.client import events as told
from sessile.model.errors import (
    ConfigurationError,
    DocumentNotFound,
    OriginRefused,
    SessionEnded,
    SessionExpired,
    SessionNotFound,
)
from sessile.testing import shows
from tests.unit.client.fake_server import DOCUMENT, HANDLE, TOKEN, FakeServer, Peer, fake_server, initial_state, stay

QUICK = Backoff(first_max_s=0.01, base_s=0.01, cap_s=0.02)


def client_of(server: FakeServer, **more: Any) -> Client:
    return Client(server.url, **{"token": TOKEN, "backoff": QUICK, "seed": 1, **more})


async def until(holds: Callable[[], bool], client: Client) -> None:
    """Waits for events of the client until something holds."""
    moved = asyncio.Event()
    stop = client.on(told.Event, lambda _event: moved.set())
    async with asyncio.timeout(5):
        while not holds():
            moved.clear()
            await moved.wait()
    stop()


async def test_the_hello_says_who_and_what_and_the_address_does_not() -> None:
    hellos: list[dict[str, Any]] = []

    async def script(peer: Peer) -> None:
        hellos.append(await peer.welcome(last_seq=0))
        await peer.snapshot({"a": 1}, version=4)
        await stay(peer)

    async with fake_server(script) as server, client_of(server, label="agent 7") as client:
        document = await client.document("intake", default={"x": 1})
        assert document.state == {"a": 1}
    hello = hellos[0]
    assert hello["token"] == TOKEN
    assert hello["device"] == {"label": "agent 7"}
    assert "user_id" not in hello  # not known before the first welcome
    request = server.requests[0]
    assert request.path == "/ws"
    assert TOKEN not in str(request)
    assert request.headers["Sec-WebSocket-Protocol"] == "sessile.v1"


async def test_a_second_connection_says_whose_it_is_and_where_it_was() -> None:
    hellos: list[dict[str, Any]] = []

    async def first(peer: Peer) -> None:
        hellos.append(await peer.welcome(last_seq=0))
        await peer.snapshot({"a": 1}, version=4)
        await peer.socket.close(4003)

    async def second(peer: Peer) -> None:
        hellos.append(await peer.welcome(last_seq=0, version=4))
        await stay(peer)

    async with fake_server(first, second) as server, client_of(server) as client:
        await client.document("intake")
        await until(lambda: len(hellos) == 2 and client.is_connected, client)
    assert hellos[0]["device_id"] == hellos[1]["device_id"]
    assert hellos[1]["user_id"] == "ann"
    assert hellos[1]["documents"] == [{"name": "intake", "epoch": "e", "version": 4}]


async def test_the_token_is_in_no_log_and_no_repr(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    async def script(peer: Peer) -> None:
        await peer.welcome(last_seq=0)
        await peer.snapshot({}, version=1)
        await peer.socket.close(4004)

    async with fake_server(script) as server, client_of(server) as client:
        document = await client.document("intake")
        await until(lambda: len(server.requests) > 2, client)
        assert TOKEN.split(".")[1] not in repr(client) + repr(document) + repr(client.outbox)
    assert TOKEN.split(".")[1] not in caplog.text


async def test_a_ping_is_answered_and_its_head_is_looked_at() -> None:
    heard: list[dict[str, Any]] = []
    both = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.welcome(last_seq=0)
        await peer.snapshot({}, version=1)
        await peer.say({"type": "ping", "at": "2026-01-01T00:00:01.000Z", "heads": {DOCUMENT: ["e", 9]}})
        heard.extend([await peer.heard(), await peer.heard()])
        both.set()
        await stay(peer)

    async with fake_server(script) as server, client_of(server) as client:
        await client.document("intake")
        async with asyncio.timeout(5):
            await both.wait()
    assert heard == [
        {"type": "pong", "at": "2026-01-01T00:00:01.000Z"},
        {"type": "request_sync", "document_id": DOCUMENT, "reason": "gap", "epoch": "e", "version": 1},
    ]


async def test_a_frame_in_parts_is_put_together() -> None:
    text = json.dumps(initial_state({"text": "ä" * 500}, version=2))
    chunks = [text[start : start + 100] for start in range(0, len(text), 100)]

    async def script(peer: Peer) -> None:
        await peer.welcome(last_seq=0)
        for number, chunk in enumerate(chunks, start=1):
            await peer.say({"type": "part", "ref": "r", "part": number, "of": len(chunks), "chunk": chunk})
        await stay(peer)

    async with fake_server(script) as server, client_of(server) as client:
        assert (await client.document("intake")).state == {"text": "ä" * 500}


@shows("H02", "G05", "python")
async def test_silence_is_a_loss() -> None:
    reasons: list[str] = []

    async def silent(peer: Peer) -> None:
        await peer.welcome(lost_after_ms=30)
        await stay(peer)

    async with fake_server(silent) as server, client_of(server) as client:
        client.on(told.ConnectionStatusChanged, lambda event: reasons.append(event.reason))
        await until(lambda: len(server.requests) >= 3, client)
    assert "lost" in reasons


@pytest.mark.parametrize("text", ["not json", '{"no": "type"}', "[]"])
async def test_what_is_no_frame_leads_to_a_new_connection(text: str) -> None:
    async def broken(peer: Peer) -> None:
        await peer.heard("hello")
        await peer.socket.send(text)
        await stay(peer)

    async def whole(peer: Peer) -> None:
        await peer.welcome()
        await stay(peer)

    async with fake_server(broken, whole) as server, client_of(server) as client:
        await client.connected()
        assert len(server.requests) == 2


@pytest.mark.parametrize("code", [1009, 1012, 4000, 4001, 4002, 4003, 4004, 4408, 4409])
async def test_codes_below_4500_are_tried_again(code: int) -> None:
    async def closing(peer: Peer) -> None:
        await peer.welcome()
        await peer.socket.close(code)

    async with fake_server(closing) as server, client_of(server) as client:
        await until(lambda: len(server.requests) >= 3, client)
        assert client.failure is None


FINAL = [
    (4500, ConnectionRefused, ConnectionStatus.STOPPED),
    (4501, SessionEnded, ConnectionStatus.NEEDS_AUTH),
    (4502, SessionExpired, ConnectionStatus.NEEDS_AUTH),
    (4503, ConnectionRefused, ConnectionStatus.STOPPED),
    (4504, SessionNotFound, ConnectionStatus.NEEDS_AUTH),
]


@pytest.mark.parametrize(("code", "error", "status"), FINAL)
async def test_codes_from_4500_are_not_tried_again(code: int, error: type[Exception], status: ConnectionStatus) -> None:
    async def closing(peer: Peer) -> None:
        await peer.welcome(last_seq=0)
        await peer.snapshot({})
        await peer.heard("change")
        await peer.say({"type": "session_ended", "session_id": HANDLE, "reason": "revoked"})
        await peer.socket.close(code)

    async with fake_server(closing) as server, client_of(server) as client:
        document = await client.document("intake")
        change = await document.set("/a", 1)
        with pytest.raises(error):
            await change.durable
        assert client.connection_status is status
        assert isinstance(client.failure, error)
        assert (await client.outbox.entries("intake"))[0].seq == change.seq  # kept for a later login
        with pytest.raises(error):
            await client.document("another")
        with pytest.raises(error):
            await client.connected()
        if isinstance(client.failure, SessionEnded):
            assert client.failure.reason == "revoked"
        later = await document.set("/b", 2)  # still taken into the outbox
        with pytest.raises(error):
            await later.durable
    assert len(server.requests) == 1


async def test_a_new_token_goes_on_where_it_stopped() -> None:
    async def ended(peer: Peer) -> None:
        await peer.heard("hello")
        await peer.socket.close(4502)

    async def welcome(peer: Peer) -> None:
        hello = await peer.welcome(last_seq=0)
        assert hello["token"] == other
        await peer.snapshot({})
        frame = await peer.heard("change")
        assert [change["seq"] for change in frame["changes"]] == [1]
        await peer.ack(1)
        await peer.update(1, frame["changes"][0]["operations"], seq=1, device_no=1)
        await stay(peer)

    other = f"{HANDLE}.{'o' * 43}"
    async with fake_server(ended, welcome) as server, client_of(server) as client:
        document = client.open("intake")
        await document.set("/a", 1)
        with pytest.raises(SessionExpired):
            await client.connected()
        client.reconnect(token=other)
        await document.synchronized()
        assert document.confirmed == {"a": 1}


@pytest.mark.parametrize(
    ("status", "error"), [(HTTPStatus.FORBIDDEN, OriginRefused), (HTTPStatus.UNAUTHORIZED, SessionNotFound)]
)
async def test_a_refused_handshake_is_final(status: HTTPStatus, error: type[Exception]) -> None:
    async with (
        fake_server(stay, answer=lambda connection, _request: connection.respond(status, "")) as server,
        client_of(server) as client,
    ):
        with pytest.raises(error):
            await client.connected()
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [HTTPStatus.NOT_FOUND, HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE])
async def test_a_handshake_that_a_proxy_answers_is_tried_again(status: HTTPStatus) -> None:
    """While a service is being replaced, whatever stands before it answers for it."""

    def answer(connection: Any, _request: Request) -> Response | None:
        response: Response = connection.respond(status, "")
        return response if len(server.requests) < 3 else None

    async def script(peer: Peer) -> None:
        await peer.welcome()
        await stay(peer)

    async with fake_server(script, answer=answer) as server, client_of(server) as client:
        await client.connected()
    assert len(server.requests) == 3


async def test_a_redirect_is_not_followed_because_the_token_would_go_with_it() -> None:
    async def thief(peer: Peer) -> None:
        await peer.heard()

    async with fake_server(thief) as elsewhere:

        def answer(connection: Any, _request: Request) -> Response:
            response: Response = connection.respond(HTTPStatus.TEMPORARY_REDIRECT, "")
            response.headers["Location"] = elsewhere.url.replace("http", "ws")
            return response

        async with fake_server(stay, answer=answer) as server, client_of(server, attempts_max=2) as client:
            with pytest.raises(NotConnected):
                await client.connected()
        assert elsewhere.requests == []


@shows("H04", "python")
async def test_the_tries_can_be_bounded_and_begun_again() -> None:
    async with fake_server(stay) as server:
        url = server.url
    async with Client(url, token=TOKEN, backoff=QUICK, attempts_max=3) as client:
        with pytest.raises(NotConnected):
            await client.connected()
        assert client.connection_status is ConnectionStatus.STOPPED
        client.reconnect()
        with pytest.raises(NotConnected):
            await client.connected()


async def test_a_server_that_goes_away_is_given_the_time_it_asks_for() -> None:
    delays: list[float | None] = []

    async def leaving(peer: Peer) -> None:
        await peer.welcome()
        await peer.say({"type": "goaway", "reason": "deploy", "retry_min_ms": 40, "retry_max_ms": 80})
        await peer.socket.close(4000)

    async def script(peer: Peer) -> None:
        await peer.welcome()
        await stay(peer)

    async with fake_server(leaving, script) as server, client_of(server) as client:
        client.on(told.ConnectionStatusChanged, lambda event: delays.append(event.retry_in_s))
        await client.connected()
        await until(lambda: len(server.requests) == 2 and client.is_connected, client)
    given = [delay for delay in delays if delay is not None]
    assert len(given) == 1
    assert 0.04 <= given[0] <= 0.08


async def test_the_token_is_asked_for_before_every_connection() -> None:
    tokens = [f"{HANDLE}.{letter * 43}" for letter in "ab"]
    given: list[str] = []

    async def token() -> str:
        given.append(tokens[len(given)])
        return given[-1]

    async def first(peer: Peer) -> None:
        assert (await peer.welcome())["token"] == tokens[0]
        await peer.socket.close(4000)

    async def second(peer: Peer) -> None:
        assert (await peer.welcome())["token"] == tokens[1]
        await stay(peer)

    async with fake_server(first, second) as server, client_of(server, token=token) as client:
        await until(lambda: len(given) == 2 and client.is_connected, client)


async def test_an_outbox_of_another_user_is_not_sent() -> None:
    async def script(peer: Peer) -> None:
        hello = await peer.heard("hello")
        assert hello["user_id"] == "ben"
        await peer.socket.close(4503)

    outbox = Outbox()
    await outbox.claim("user:ben")
    async with fake_server(script) as server, client_of(server, outbox=outbox) as client:
        with pytest.raises(ConnectionRefused, match="another user"):
            await client.connected()


async def test_an_outbox_of_another_anonymous_session_says_no_hello() -> None:
    outbox = Outbox()
    await outbox.claim("session:01900000-0000-7000-8000-0000000000ff")
    async with fake_server(stay) as server, client_of(server, outbox=outbox) as client:
        with pytest.raises(ConnectionRefused, match="another"):
            await client.connected()


async def test_a_login_takes_the_outbox_of_its_session_along() -> None:
    outbox = Outbox()
    await outbox.claim(f"session:{HANDLE}")

    async def script(peer: Peer) -> None:
        assert "user_id" not in await peer.welcome(user="ann")
        await stay(peer)

    async with fake_server(script) as server, client_of(server, outbox=outbox) as client:
        await client.connected()
        assert (await outbox.identity()).owner == "user:ann"


async def test_a_token_that_is_none_is_not_even_sent() -> None:
    async with fake_server(stay) as server, client_of(server, token="not one of ours") as client:
        with pytest.raises(SessionNotFound):
            await client.connected()


@pytest.mark.parametrize(
    "url", ["example.com", "ws://example.com", "https://", "https://u:p@example.com", "https://example.com/?token=x"]
)
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError):
        Client(url, token=TOKEN)


async def test_a_prefix_of_the_address_is_kept() -> None:
    async def script(peer: Peer) -> None:
        await peer.welcome()
        await stay(peer)

    async with fake_server(script) as server, Client(server.url + "live", token=TOKEN, backoff=QUICK) as client:
        await client.connected()
    assert server.requests[0].path == "/live/ws"


async def test_a_closed_client_ends_whoever_waits() -> None:
    async def script(peer: Peer) -> None:
        await peer.welcome(last_seq=0)
        await peer.snapshot({})
        await stay(peer)

    async with fake_server(script) as server:
        client = client_of(server)
        async with client:
            document = await client.document("intake")
            change = await document.set("/a", 1)
            reading = asyncio.create_task(_all(client))
            await asyncio.sleep(0)
        with pytest.raises(ClientClosed):
            await change.durable
        assert isinstance((await reading)[-1], told.Event)
        with pytest.raises(ClientClosed):
            client.open("another")
        await client.close()


async def _all(client: Client) -> list[told.Event]:
    return [event async for event in client.events()]


async def test_a_document_that_is_refused_says_why() -> None:
    refusal = {"code": "document_not_found", "message": "There is no such document.", "retryable": False}

    async def script(peer: Peer) -> None:
        await peer.welcome()
        asked = await peer.heard("subscribe")
        entry = {"name": "intake", "error": refusal}
        await peer.say({"type": "subscribed", "request_id": asked["request_id"], "documents": [entry]})
        await stay(peer)

    async with fake_server(script) as server, client_of(server) as client:
        await client.connected()
        with pytest.raises(DocumentNotFound):
            await client.document("intake")
        change = await client.open("intake").set("/a", 1)
        with pytest.raises(DocumentNotFound):
            await change.durable
        assert len(await client.outbox.entries("intake")) == 1


async def test_a_refusal_that_comes_after_a_new_token_does_not_stick() -> None:
    begun = asyncio.Event()

    async def slow(peer: Peer) -> None:
        await peer.heard("hello")
        begun.set()
        await peer.socket.close(4502)

    async def script(peer: Peer) -> None:
        await peer.welcome(last_seq=0)
        await peer.snapshot({"a": 1})
        await stay(peer)

    async with fake_server(slow, script) as server, client_of(server) as client:
        async with asyncio.timeout(5):
            await begun.wait()
        client.reconnect()
        assert (await client.document("intake")).state == {"a": 1}
        assert client.failure is None
