"""CPU of one message from a publisher to a subscriber, through our bus and through redis-py's pub/sub: both ends in this process, in turns, against one server."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from statistics import median
from typing import Any, Final

import redis.asyncio

from benchmarks.redis_lane import server
from benchmarks.telling import Tell, ratios
from sessile.stores.redis.bus import AsyncRedisBus

MESSAGES: Final = 5_000
PAYLOAD: Final = b"x" * 200
UNHEARD_MAX: Final = 200
"""Who floods a server faster than it answers is cut off, here as there."""
TOGETHER: Final = (1, 10, 100)
"""So many are told in one turn of the loop, as a transaction of so many documents tells them."""


class _Own:
    """Ours."""

    def __init__(self, url: str) -> None:
        self.heard = 0
        self.is_all = asyncio.Event()
        self._bus = AsyncRedisBus(url, "sessile:bench", on_message=self._hear, on_gap=lambda: None)

    def _hear(self, _payload: bytes) -> None:
        self.heard += 1
        if self.heard == MESSAGES:
            self.is_all.set()

    async def open(self) -> None:
        await self._bus.open()

    async def tell(self, together: int) -> None:
        for told in range(0, MESSAGES, together):
            for _ in range(together):
                self._bus.publish(PAYLOAD)
            await asyncio.sleep(0)
            while told - self.heard > UNHEARD_MAX:  # noqa: ASYNC110 - an event would be set for each message
                await asyncio.sleep(0.0002)

    async def close(self) -> None:
        await self._bus.close()


class _RedisPy:
    """As its documentation has it: `publish` on a client, `listen` on a PubSub. `in_pipeline` sends what is told together at once."""

    def __init__(self, url: str, *, in_pipeline: bool) -> None:
        self.heard = 0
        self._in_pipeline = in_pipeline
        self.is_all = asyncio.Event()
        self._client = redis.asyncio.Redis.from_url(url, max_connections=max(TOGETHER) + 1)
        self._listening = self._client.pubsub(ignore_subscribe_messages=True)
        self._task: asyncio.Task[None] | None = None

    async def open(self) -> None:
        await self._listening.subscribe("redis-py:bench")
        self._task = asyncio.create_task(self._listen())

    async def _listen(self) -> None:
        async for _message in self._listening.listen():
            self.heard += 1
            if self.heard == MESSAGES:
                self.is_all.set()

    async def tell(self, together: int) -> None:
        if not self._in_pipeline:
            for _ in range(MESSAGES):
                await self._client.publish("redis-py:bench", PAYLOAD)
            return
        for _ in range(MESSAGES // together):
            async with self._client.pipeline(transaction=False) as pipeline:
                for _ in range(together):
                    pipeline.publish("redis-py:bench", PAYLOAD)
                await pipeline.execute()

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        await self._listening.aclose()
        await self._client.aclose()


async def cpu_us(make: Callable[[], Any], together: int) -> float:
    """Of one message, told and heard."""
    ends = make()
    await ends.open()
    began_s = time.process_time()
    await ends.tell(together)
    await asyncio.wait_for(ends.is_all.wait(), 120)
    used_s = time.process_time() - began_s
    await ends.close()
    return used_s / MESSAGES * 1e6


async def measure(rounds: int, tell: Tell) -> list[dict[str, Any]]:
    """One row for each number of messages told together and each way of telling them; the ratio is how many times as much redis-py takes."""
    rows = []
    with server() as url:
        variants: dict[str, Callable[[], Any]] = {
            "own": lambda: _Own(url),
            "publish": lambda: _RedisPy(url, in_pipeline=False),
            "pipeline": lambda: _RedisPy(url, in_pipeline=True),
        }
        for together in TOGETHER:
            found: dict[str, list[float]] = {name: [] for name in variants}
            for number in range(rounds):
                tell(f"bus, {together} together, round {number + 1} of {rounds}")
                for name in list(variants) if number % 2 == 0 else list(reversed(variants)):
                    found[name].append(await cpu_us(variants[name], together))
            rows += [
                {
                    "variant": f"{together} told together, redis-py by {name}",
                    "own_us": round(median(found["own"]), 1),
                    "redis_py_us": round(median(found[name]), 1),
                    **ratios(found[name], found["own"]),
                }
                for name in (("publish",) if together == 1 else ("publish", "pipeline"))
            ]
    return rows
