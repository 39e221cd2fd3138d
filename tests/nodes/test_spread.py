"""Any node serves any session: one cookie, one state, one end."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter

import httpx
import pytest

from tests.integration.server.peer import connected
from tests.nodes.running import Node, Running
from tests.nodes.visits import WITHIN_S, Visit, ended, logged_in, plain_client, visited

pytestmark = pytest.mark.server

REQUESTS = 200
CLOSES_WITHIN_S = 2.0
"""A few milliseconds when the machine is idle; the bound is for one that is not."""


async def test_one_login_is_good_on_every_node_and_every_node_reads_what_was_written(
    service: Running, rng: random.Random
) -> None:
    """A browser behind the balancer, a new connection for each request, so that each may go to another node."""
    limits = httpx.Limits(max_keepalive_connections=0)
    nodes: Counter[str] = Counter()
    written: dict[str, int] = {}
    async with httpx.AsyncClient(
        base_url=service.balancer.url, limits=limits, timeout=WITHIN_S, trust_env=False
    ) as browser:
        login = await browser.post("/login", json={"user": "ann"})
        assert login.status_code == 200
        assert len(login.headers.get_list("set-cookie")) == 1
        for number in range(REQUESTS):
            if rng.random() < 0.3:
                key = f"key{rng.randrange(10)}"
                answer = await browser.put(f"/data/{key}", json=number)
                written[key] = number
            else:
                answer = await browser.get("/who")
                assert (answer.json()["user"], answer.json()["data"]) == ("ann", written)
            assert answer.status_code == 200
            assert "set-cookie" not in answer.headers
            nodes[answer.json()["node"]] += 1
    assert min(nodes[name] for name in ("a", "b", "c")) >= REQUESTS // 4
    assert len(written) > 5


async def test_an_end_is_known_everywhere_at_once_and_closes_every_socket(nodes: tuple[Node, ...]) -> None:
    async with plain_client() as http:
        gone = await logged_in(http, nodes[0], "ann")
        stays = await logged_in(http, nodes[1], "ann")
        sockets = [connected(f"ws://127.0.0.1:{node.port}/ws", cookie=gone.token) for node in nodes]
        async with sockets[0] as one, sockets[1] as two, sockets[2] as three:
            for peer in (one, two, three):
                await peer.open()
            closing = [asyncio.create_task(_closed(peer)) for peer in (one, two, three)]
            end = await ended(http, nodes[0], gone.session_id)
            assert end.did_end
            after = await asyncio.gather(*(visited(http, node, gone) for node in nodes))
            assert [visit.status for visit in after] == [401, 401, 401]
            codes_and_moments = await asyncio.gather(*closing)
        assert [code for code, _ in codes_and_moments] == [4501, 4501, 4501]
        assert max(moment for _, moment in codes_and_moments) - end.began < CLOSES_WITHIN_S
        others: list[Visit] = [await visited(http, node, stays) for node in nodes]
        assert [visit.status for visit in others] == [200, 200, 200]


async def _closed(peer) -> tuple[int, float]:
    code = await peer.expect_close()
    return code, time.monotonic()
