"""Several nodes keep one order for one document, and news that was lost between them is made up for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

import pytest

from tests.nodes.running import PING_INTERVAL_S, Node
from tests.nodes.visits import logged_in, plain_client
from tests.nodes.writers import NAME, converged, writers

pytestmark = pytest.mark.server

LINES = 25
HEALS_WITHIN_S = 15.0
"""A look at the head comes with each ping, and a second may pass until there is a connection again; the rest is for a busy machine."""


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
        async with asyncio.timeout(10):
            for change in near.changes:
                await change.durable
        await asyncio.sleep(PING_INTERVAL_S / 2)
        assert len(far.lines()) == 1, "it has heard of it, so nothing was lost"
        nodes[1].heal()
        healed = time.monotonic()
        await converged([near, far])
        assert time.monotonic() - healed < HEALS_WITHIN_S
