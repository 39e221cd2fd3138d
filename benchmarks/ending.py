"""How long the end of a session takes, on three nodes with one PostgreSQL and one Redis.

From the call of `destroy_session` on one node: to its return, to the first refusal on another node that is asked for the session all the time, and to
the close of a socket on that node. All moments are of one monotonic clock: the processes share a machine.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from statistics import median
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from sessile.testing.servers import PostgresServer, RedisServer
from tests.integration.server.peer import connected
from tests.nodes.running import Node, Running, running
from tests.nodes.visits import Login, ended, logged_in, plain_client, visited

FENCE_PERIOD_S = 1.0
AT_ONCE = 10
"""So many sessions end together at the beginning of an outage: all of them are first ends."""
TITLE = f"From the call to its return, the first refusal and the closed socket, fence period {FENCE_PERIOD_S:g} s (ms: median / p99 / longest)"
SETTINGS = {"fence_period_s": FENCE_PERIOD_S, "ping_interval_s": 20.0, "ping_timeout_s": 10.0}


@dataclass(frozen=True)
class Times:
    """Of one end, in seconds from the call. `is_broken`: the other node accepted a request that began after the return."""

    returned_s: float
    refused_s: float
    closed_s: float
    is_broken: bool


async def one_end(http: httpx.AsyncClient, ending: Node, other: Node, begin: asyncio.Barrier) -> Times:
    """A session with a socket on the other node, which is asked for it all the time, ends when everybody is ready."""
    login = await logged_in(http, other, "somebody")
    async with connected(f"ws://127.0.0.1:{other.port}/ws", cookie=login.token) as peer:
        await peer.open()
        closing = asyncio.create_task(_closed(peer.socket))
        asking = asyncio.create_task(_refused(http, other, login))
        await begin.wait()
        end = await ended(http, ending, login.session_id)
        assert end.called is not None, end
        assert end.returned is not None, end
        last_accepted, refused = await asking
        closed = await closing
    return Times(end.returned - end.called, refused - end.called, closed - end.called, last_accepted >= end.returned)


async def _refused(http: httpx.AsyncClient, node: Node, login: Login) -> tuple[float, float]:
    """When the last request began that was accepted, and when the first refusal was there."""
    last_accepted = 0.0
    while True:
        visit = await visited(http, node, login)
        if visit.status == 401:
            return last_accepted, visit.over
        assert visit.status == 200, visit
        last_accepted = visit.began


async def _closed(socket: ClientConnection) -> float:
    with suppress(ConnectionClosed):
        while True:
            await socket.recv()
    return time.monotonic()


async def in_good_order(service: Running, ends: int) -> list[Times]:
    """One after the other."""
    await _warmed(service)
    first, second, _ = service.nodes
    async with plain_client() as http:
        return [await one_end(http, first, second, asyncio.Barrier(1)) for _ in range(ends)]


async def at_the_beginning(service: Running, ends: int, cut: Callable[[], None]) -> list[Times]:
    """Outage after outage; the ends of each begin with it, while every other node still believes its cache."""
    first, second, _ = service.nodes
    found: list[Times] = []
    while len(found) < ends:
        await _warmed(service)
        begin = _Beginning(min(AT_ONCE, ends - len(found)), cut)
        async with plain_client() as http:
            found += await asyncio.gather(*(one_end(http, first, second, begin) for _ in range(begin.parties)))
        service.heal()
    return found


async def in_an_outage(service: Running, ends: int, cut: Callable[[], None]) -> list[Times]:
    """One after the other, later in it."""
    await _warmed(service)
    first, second, _ = service.nodes
    cut()
    async with plain_client() as http:
        await one_end(http, first, second, asyncio.Barrier(1))
        found = [await one_end(http, first, second, asyncio.Barrier(1)) for _ in range(ends)]
    service.heal()
    return found


class _Beginning(asyncio.Barrier):
    """Lets all begin together, after the network has been cut."""

    def __init__(self, parties: int, cut: Callable[[], None]) -> None:
        super().__init__(parties)
        self._cut = cut
        self._is_cut = False

    async def wait(self) -> int:
        number = await super().wait()
        if not self._is_cut:
            self._is_cut = True
            self._cut()
        return number


async def _warmed(service: Running) -> None:
    async with plain_client() as http:
        login = await logged_in(http, service.nodes[0], "nobody in particular")
    await asyncio.to_thread(service.wait_for_cache, login.token)


def row(variant: str, times: list[Times]) -> dict[str, Any]:
    """Median, p99 and longest in milliseconds, and how many sessions were accepted after the return."""
    found: dict[str, Any] = {"variant": variant, "ends": len(times)}
    for name in ("returned", "refused", "closed"):
        values = sorted(getattr(one, f"{name}_s") * 1000 for one in times)
        p99 = values[int(0.99 * (len(values) - 1))]
        found[f"{name}_ms"] = f"{median(values):.1f} / {p99:.1f} / {values[-1]:.1f}"
    return {**found, "accepted_after": sum(one.is_broken for one in times)}


def measure(ends: int = 100) -> list[dict[str, Any]]:
    """One row for each state that Redis can be in."""
    with running(PostgresServer(), RedisServer(), **SETTINGS) as service:

        def cut_one() -> None:
            service.nodes[0].to_redis.faults.refuse()

        def cut_all() -> None:
            for node in service.nodes:
                node.to_redis.faults.refuse()

        return [
            row("all is well", asyncio.run(in_good_order(service, ends))),
            row("Redis goes away", asyncio.run(at_the_beginning(service, ends, cut_all))),
            row("for the ending node alone", asyncio.run(at_the_beginning(service, ends, cut_one))),
            row("away for longer", asyncio.run(in_an_outage(service, ends, cut_all))),
        ]
