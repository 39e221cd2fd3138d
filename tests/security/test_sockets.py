"""A socket and its session end together (OWASP WebSocket Security; ASVS 5.0 section 7.4)."""

from __future__ import annotations

import asyncio

from sessile.testing.shows import shows_security
from tests.integration.server.peer import connected
from tests.integration.server.running import served

PATIENCE_S = 3.0
"""No ping comes in this time, so nothing but the news of the end closes the socket."""


@shows_security("C-11", "V7.4.1", "V7.4.2")
async def test_a_socket_is_closed_when_its_user_is_disabled() -> None:
    async with served(ping_interval_s=600) as server:
        token = await server.token()
        async with connected(server.socket_url, cookie=token, origin=server.origin) as peer:
            await peer.open()
            assert await server.manager.disable_user("ada") == 1
            closing = asyncio.create_task(peer.socket.wait_closed())
            reading = asyncio.create_task(_drain(peer.socket))
            done, _ = await asyncio.wait({closing}, timeout=PATIENCE_S)
            reading.cancel()
            closing.cancel()
            assert done, "the socket is still open"
            assert peer.socket.close_code == 4501


async def _drain(socket: object) -> None:
    async for _ in socket:  # type: ignore[attr-defined]
        pass
