"""News of other processes is lost, comes twice and out of order: whoever looks at a document sees every change once and in order, and the socket of a
session that ended elsewhere is closed. The table is in `test_matrix.py`."""

from __future__ import annotations

import asyncio
import random
from typing import Any, Final

from sessile.model.document import Actor
from tests.integration.server.peer import connected
from tests.integration.server.running import Running, served

CHANGES: Final = 60
LOST: Final = 0.3
TWICE: Final = 0.3
PING_S: Final = 0.2


def mangle(server: Running, rng: random.Random) -> dict[str, int]:
    """From now on it hears badly; how often it was told nothing, and how often twice."""
    store: Any = server.manager._store
    hint = store._hint
    told = {"lost": 0, "twice": 0}
    waiting: list[str] = []

    def mangled(payload: str) -> None:
        if rng.random() < LOST:
            told["lost"] += 1
            return
        waiting.append(payload)
        if rng.random() < TWICE:
            told["twice"] += 1
            waiting.append(payload)
        if len(waiting) >= 3:
            rng.shuffle(waiting)
            for one in waiting:
                hint(one)
            waiting.clear()

    store._hint = mangled
    return told


async def test_news_lost_twice_and_out_of_order(database_url: str, rng: random.Random) -> None:
    settings: dict[str, Any] = {"database_url": database_url, "ping_interval_s": PING_S}
    async with served(**settings) as first, served(**settings) as second:
        told = mangle(second, rng)
        issued = await first.manager.create_session("ada")
        async with connected(second.socket_url, cookie=issued.token) as there:
            await there.open({"name": "intake"})
            for number in range(1, CHANGES + 1):
                operation = {"op": "set", "path": "/n", "value": number}
                await first.manager.documents.change(Actor.system(), there.document_id, [operation])
                await asyncio.sleep(0.005)
            seen: list[int] = []
            while seen[-1:] != [CHANGES]:
                seen += [change["version"] for change in (await there.expect("state_update"))["changes"]]
            assert seen == list(range(1, CHANGES + 1))
            assert min(told.values()) > 0, "all news came as it should"
            await first.manager.destroy_session(issued.session.session_id)
            assert await there.expect_close() == 4501
        print(f"\nnews: {CHANGES} changes, {told['lost']} notices lost, {told['twice']} twice; seen once and in order")
