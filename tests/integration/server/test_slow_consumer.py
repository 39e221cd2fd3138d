"""A peer that does not read costs nobody else anything, is caught up with one read when it reads again, and is cut off at last."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager

from sessile.server.realtime.outbox import BYTES_MAX, FRAMES_MAX
from sessile.server.realtime.subscription import Phase
from sessile.testing import shows
from sessile.testing.shows import shows_security
from tests.integration.server.peer import Peer, connected, setting
from tests.integration.server.running import Running, served, until

INTAKE = {"name": "intake"}
LARGE = "x" * 60_000
COUNT = 200
"""Times 60 kB: more than the kernel's buffers on both sides and the outbox hold."""


async def test_a_slow_reader_delays_nobody_and_is_brought_up_from_its_own_position() -> None:
    async with served() as server:
        token = await server.token()
        async with connected(server.socket_url, cookie=token) as fast, connected_slowly(server, token) as slow:
            for peer in (slow, fast):
                await peer.open(INTAKE)
            slow_one = next(c for c in server.service.hub.connections if c.connection_id == connection_id(slow))
            await write(fast, COUNT)
            (subscription,) = slow_one.subscriptions.values()
            assert subscription.phase is Phase.BEHIND
            assert slow_one.outbox.depth <= FRAMES_MAX
            assert slow_one.outbox._bytes <= BYTES_MAX + 100_000
            # Now it reads: everything that was queued, then what it missed, in order and without a gap.
            version = (await slow.expect("initial_state"))["version"]
            while version < COUNT:
                update = await slow.expect("state_update")
                assert update["from"] == version
                version = update["to"]
            assert version == COUNT


@shows("G05", "socket")
@shows_security("C-11", "V-20")
async def test_a_reader_without_progress_is_cut_off_while_others_go_on() -> None:
    async with served(stall_timeout_s=0.3) as server:
        token = await server.token()
        async with connected(server.socket_url, cookie=token) as fast, connected_slowly(server, token) as slow:
            for peer in (slow, fast):
                await peer.open(INTAKE)
            stuck = connection_id(slow)
            await write(fast, COUNT)
            await until(lambda: stuck not in {c.connection_id for c in server.service.hub.connections})
            await fast.change(setting(COUNT + 1, "/still", "here"))
            assert (await fast.expect("ack"))["seq"] == COUNT + 1
            slow.socket.transport.abort()


def connected_slowly(server: Running, token: str) -> AbstractAsyncContextManager[Peer]:
    """A client that takes two messages off the wire and leaves the rest to the kernel until they are read."""
    return connected(server.socket_url, cookie=token, max_queue=1)


def connection_id(peer: Peer) -> str:
    return str(peer.frames[0]["connection_id"])


async def write(peer: Peer, count: int) -> None:
    """Changes one after the other, each acknowledged: the writer is not held up by anybody."""
    async with asyncio.timeout(60):
        for seq in range(1, count + 1):
            await peer.change(setting(seq, "/large", f"{seq}{LARGE}"))
            assert (await peer.expect("ack"))["seq"] == seq
