"""News of other processes is lost, comes twice and out of order: whoever looks at a document sees every change once and in order, and the socket of a
session that ended elsewhere is closed. The table is in `test_matrix.py`."""

from __future__ import annotations

import asyncio
import random
from typing import Any, Final

import pytest

from sessile.model.document import Actor
from sessile.stores.sql.postgres import AsyncPostgresStore
from sessile.testing.servers import RedisServer
from tests.integration.server.peer import connected
from tests.integration.server.running import served

CHANGES: Final = 60
LOST: Final = 0.3
TWICE: Final = 0.3
PING_S: Final = 0.2


class BadEars:
    """Loses news, hears some of it twice, and all of it out of order."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._waiting: list[str | bytes] = []
        self.lost = self.twice = 0

    def heard(self, payload: str | bytes) -> list[str | bytes]:
        """What is heard now."""
        if self._rng.random() < LOST:
            self.lost += 1
            return []
        self._waiting.append(payload)
        if self._rng.random() < TWICE:
            self.twice += 1
            self._waiting.append(payload)
        if len(self._waiting) < 3:
            return []
        heard, self._waiting = self._waiting, []
        self._rng.shuffle(heard)
        return heard


@pytest.mark.parametrize("carrier", ["PostgreSQL", "Redis"])
async def test_news_lost_twice_and_out_of_order(
    database_url: str, redis: RedisServer, rng: random.Random, monkeypatch: pytest.MonkeyPatch, carrier: str
) -> None:
    hear, ears, deaf = AsyncPostgresStore.hear, BadEars(rng), set[object]()

    def hear_badly(store: AsyncPostgresStore, payload: str | bytes) -> None:
        for one in ears.heard(payload) if store in deaf else [payload]:
            hear(store, one)

    monkeypatch.setattr(AsyncPostgresStore, "hear", hear_badly)
    settings: dict[str, Any] = {"database_url": database_url, "ping_interval_s": PING_S}
    if carrier == "Redis":
        settings["redis_url"] = redis.url()
    async with served(**settings) as first, served(**settings) as second:
        deaf.add(second.manager._store)
        issued = await first.manager.create_session("ada")
        async with connected(second.socket_url, cookie=issued.token) as there:
            await there.open({"name": f"intake by {carrier}"})
            for number in range(1, CHANGES + 1):
                operation = {"op": "set", "path": "/n", "value": number}
                await first.manager.documents.change(Actor.system(), there.document_id, [operation])
                await asyncio.sleep(0.005)
            seen: list[int] = []
            while seen[-1:] != [CHANGES]:
                seen += [change["version"] for change in (await there.expect("state_update"))["changes"]]
            assert seen == list(range(1, CHANGES + 1))
            assert min(ears.lost, ears.twice) > 0, "all news came as it should"
            await first.manager.destroy_session(issued.session.session_id)
            assert await there.expect_close() == 4501
    print(f"\nnews by {carrier}: {CHANGES} changes, {ears.lost} notices lost, {ears.twice} twice; seen once, in order")
