"""Any node serves any session and any document: one cookie, one state, one order, one end."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence

import httpx
import pytest

from sessile.testing.shows import shows_security
from tests.integration.server.peer import Peer, connected
from tests.nodes.crowd import recovered
from tests.nodes.running import PING_INTERVAL_S, Node, Running
from tests.nodes.visits import WITHIN_S, ended, logged_in, plain_client, visited
from tests.nodes.writers import NAME, converged, writers

pytestmark = pytest.mark.server

REQUESTS = 200
LINES = 25
HEALS_WITHIN_S = 15.0
"""A look at the head comes with each ping, and a second may pass until there is a connection again; the rest is for a busy machine."""
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


def _nothing(_b: Node, _c: Node) -> None:
    """All is well."""


def _one_way_each(b: Node, c: Node) -> None:
    """Each can be told by the other way only."""
    b.to_redis.faults.refuse()
    c.to_postgres.faults.refuse()


@pytest.mark.parametrize("cut", [_nothing, _one_way_each])
@shows_security("V7.4.1")
async def test_an_end_is_known_everywhere_at_once_and_closes_every_socket(
    cut: Callable[[Node, Node], None], service: Running
) -> None:
    a, b, c = service.nodes
    async with plain_client() as http:
        gone, stays = await logged_in(http, a, "ann"), await logged_in(http, b, "ann")
        sockets = [connected(f"ws://127.0.0.1:{node.port}/ws", cookie=gone.token) for node in service.nodes]
        async with sockets[0] as one, sockets[1] as two, sockets[2] as three:
            for peer in (one, two, three):
                await peer.open()
            closing = [asyncio.create_task(_closed(peer)) for peer in (one, two, three)]
            await asyncio.gather(*(visited(http, node, gone) for node in service.nodes))
            cut(b, c)
            end = await ended(http, a, gone.session_id)
            assert end.did_end
            after = await asyncio.gather(*(visited(http, node, gone) for node in (a, b)))
            assert [visit.status for visit in after] == [401, 401]
            assert (await visited(http, c, gone)).status in ({401} if cut is _nothing else {401, 503})
            codes_and_moments = await asyncio.gather(*closing)
        assert [code for code, _ in codes_and_moments] == [4501, 4501, 4501]
        assert max(moment for _, moment in codes_and_moments) - end.began < CLOSES_WITHIN_S
        service.heal()
        await recovered(service)
        assert [(await visited(http, node, stays)).status for node in service.nodes] == [200, 200, 200]


async def _closed(peer: Peer) -> tuple[int, float]:
    code = await peer.expect_close()
    return code, time.monotonic()


async def places(nodes: Sequence[Node], user: str) -> list[tuple[str, str]]:
    """On each of the nodes a session of this user."""
    async with plain_client() as http:
        return [(node.url, (await logged_in(http, nodes[0], user)).token) for node in nodes]


async def test_devices_on_different_nodes_converge_to_one_order(nodes: tuple[Node, ...]) -> None:
    where = await places(nodes, "ann")
    async with writers(where) as those:
        await asyncio.gather(*(writer.write() for _ in range(LINES) for writer in those))
        await converged(those)
        states = [(await writer.client.api.open_document(NAME)).state for writer in those]
        assert all(state == those[0].document.state for state in states)


def _refuse(node: Node) -> None:
    node.to_redis.faults.refuse()
    node.to_postgres.faults.refuse()


def _one_way(node: Node) -> None:
    """What it says arrives; what it is told does not."""
    node.to_redis.faults.one_way("up")
    node.to_postgres.faults.one_way("up")


@pytest.mark.parametrize("cut", [_refuse, _one_way])
async def test_news_that_was_lost_is_made_up_for(cut: Callable[[Node], None], nodes: tuple[Node, ...]) -> None:
    """However the nodes tell each other: one of them hears nothing while another one's client writes, and nobody writes afterwards."""
    where = await places(nodes[:2], f"ben{cut.__name__}")
    async with writers(where) as (near, far):
        await near.write()
        await converged([near, far])
        cut(nodes[1])
        for _ in range(3):
            await near.write()
        async with asyncio.timeout(30):
            for change in near.changes:
                await change.durable
        await asyncio.sleep(PING_INTERVAL_S / 2)
        assert len(far.lines()) == 1, "it has heard of it, so nothing was lost"
        nodes[1].heal()
        healed = time.monotonic()
        await converged([near, far])
        assert time.monotonic() - healed < HEALS_WITHIN_S
