"""What one socket, one user and one address may have of a server, and what a peer that breaks the rules of the protocol gets (ASVS 5.0 section 4.4, OWASP WebSocket
Security)."""

from __future__ import annotations

import asyncio
import json
import os
import struct
from contextlib import AsyncExitStack
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from sessile.server.realtime.places import BURST_S, Places, paced
from sessile.testing.shows import shows_security
from tests.integration.server.peer import connected, device, hello
from tests.integration.server.running import Running, served, until


@shows_security("C-11")
async def test_a_user_has_so_many_sockets_and_gets_a_place_back_with_each_that_closes() -> None:
    async with served(sockets_per_user_max=2) as server, AsyncExitStack() as stack:
        tokens = [await server.token(), await server.token()]  # two sessions of one user
        for token in tokens:
            await stack.enter_async_context(connected(server.socket_url, cookie=token, origin=server.origin))
        with pytest.raises(InvalidStatus) as refusal:
            async with connected(server.socket_url, cookie=tokens[0], origin=server.origin):
                pass
        assert refusal.value.response.status_code == 429
        assert json.loads(refusal.value.response.body)["code"] == "too_many"
        async with connected(server.socket_url, cookie=await server.token("eve"), origin=server.origin) as eve:
            assert (await eve.open())["session"]["user"] == {"id": "eve"}
        async with connect(server.socket_url) as late:  # with its token in the first frame
            await late.send(json.dumps(hello(token=tokens[1])))
            assert json.loads(await late.recv())["code"] == "too_many"
            with pytest.raises(ConnectionClosed) as closed:
                await late.recv()
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 4003
        await stack.aclose()
        await until(lambda: server.service.hub.by_user.taken("user:ada") == 0)
        async with connect(server.socket_url) as again:
            await again.send(json.dumps(hello(token=tokens[1])))
            assert json.loads(await again.recv())["type"] == "welcome"
        await until(lambda: server.service.hub.by_user.taken("user:ada") == 0)


@shows_security("C-11", "V4.1.3")
async def test_an_address_has_so_many_sockets_whatever_it_says_of_itself() -> None:
    async with served(sockets_per_address_max=2) as server, AsyncExitStack() as stack:
        for name in ("ada", "eve"):
            await stack.enter_async_context(
                connected(server.socket_url, cookie=await server.token(name), origin=server.origin)
            )
        for spoofed in ({}, {"X-Forwarded-For": "203.0.113.9", "X-Real-IP": "203.0.113.9", "Forwarded": "for=203.0.113.9"}):  # fmt: skip
            with pytest.raises(InvalidStatus) as refusal:
                async with connect(server.socket_url, additional_headers=spoofed):
                    pass
            assert refusal.value.response.status_code == 429


@shows_security("C-11", "V-20")
async def test_compression_is_not_agreed_on_and_a_compressed_frame_closes_the_socket() -> None:
    async with served() as server:
        async with connect(server.socket_url, compression="deflate") as socket:
            assert socket.response is not None
            assert "Sec-WebSocket-Extensions" not in socket.response.headers
        reader, writer = await raw_handshake(server)
        writer.write(frame(0xC1, b"\xaa" * 64))  # a text frame that says it is compressed
        code = await close_code(reader)
        writer.close()
        assert code == 1002


@shows_security("C-11", "V-20")
async def test_a_message_without_end_is_cut_off_and_costs_no_memory() -> None:
    async with served() as server:
        reader, writer = await raw_handshake(server)
        reading = asyncio.create_task(close_code(reader))
        sent, piece = 0, frame(0x01, b"x" * 60_000)
        try:
            while not reading.done() and sent < 1000:
                writer.write(piece)
                await asyncio.wait_for(writer.drain(), 5)
                piece, sent = frame(0x00, b"x" * 60_000), sent + 1
                await asyncio.sleep(0)
            assert await reading == 1009
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # it was cut off so soon that the close had no way back
        reading.cancel()
        writer.close()
        assert sent < 1000, "it ended long before"
        await until(lambda: not server.service.hub.connections)


@shows_security("C-11")
async def test_what_comes_faster_than_the_pace_waits_and_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    sleep = asyncio.sleep

    async def noted(seconds: float, result: Any = None) -> Any:
        waited.append(seconds)
        return await sleep(0, result)

    frames = [{"type": "websocket.receive", "text": str(number)} for number in range(120)]
    left = iter([*frames, {"type": "websocket.disconnect"}])

    async def receive() -> dict[str, Any]:
        return next(left)

    monkeypatch.setattr(asyncio, "sleep", noted)
    receive_paced = paced(receive, 10)  # so a hundred at once, and then ten a second
    got = [await receive_paced() for _ in range(121)]
    assert got == [*frames, {"type": "websocket.disconnect"}]
    assert 10 <= len(waited) <= 20
    assert all(0 < seconds < BURST_S for seconds in waited)
    assert paced(receive, 0) is receive


def test_a_place_is_given_back_once() -> None:
    places = Places(1)
    give_back = places.take("a")
    assert give_back is not None
    assert (places.take("a"), places.taken("a")) == (None, 1)
    give_back()
    give_back()
    assert places.taken("a") == 0
    unlimited = Places(0)
    assert all(unlimited.take("a") is not None for _ in range(1000))


async def raw_handshake(server: Running) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A socket with a token in the first frame, spoken by hand."""
    host, port = server.origin.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(
        f"GET /ws HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    head = await reader.readuntil(b"\r\n\r\n")
    assert b" 101 " in head
    text = json.dumps(hello(token=await server.token(), device_id=device())).encode()
    writer.write(frame(0x81, text))
    await writer.drain()
    return reader, writer


def frame(first: int, payload: bytes) -> bytes:
    mask = os.urandom(4)
    size = len(payload)
    head = bytes([first, 0x80 | size]) if size < 126 else bytes([first, 0x80 | 126]) + struct.pack("!H", size)
    return head + mask + bytes(byte ^ mask[place % 4] for place, byte in enumerate(payload))


async def close_code(reader: asyncio.StreamReader) -> int:
    """Of the close frame that the server sends at last."""
    async with asyncio.timeout(20):
        while True:
            first, size = await reader.readexactly(2)
            if size == 126:
                (size,) = struct.unpack("!H", await reader.readexactly(2))
            elif size == 127:
                (size,) = struct.unpack("!Q", await reader.readexactly(8))
            payload = await reader.readexactly(size)
            if first & 0x0F == 0x08:
                return int(struct.unpack("!H", payload[:2])[0])
