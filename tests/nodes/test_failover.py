"""Redis fails over to a replica that missed the ends: it has the sessions alive, and nobody believes it."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterator

import pytest

from sessile.testing.servers import RedisSentinelSet
from tests.conftest import postgres_or_skip, server_or_skip
from tests.nodes.crowd import IS_SOAK, Crowd, planted, warmed
from tests.nodes.running import Running, running

pytestmark = pytest.mark.server

ROUNDS = 5 if IS_SOAK else 1
ENDS_MIN = 3
PLANTED_TRIES = 3
HELD_S = 1.5
"""Twice as long on a slow machine: a sentinel promotes no replica that was apart from its master for much longer than ten seconds."""


@pytest.fixture(scope="module")
def started() -> Iterator[Running]:
    with running(postgres_or_skip(), server_or_skip(RedisSentinelSet)) as made:
        yield made


async def failed_over(service: Running, rng: random.Random, *, is_quiet: bool = True) -> Crowd:
    """A crowd that was there meanwhile; all its ghosts were asked for before and after the cache was used again."""
    redis = service.redis
    assert isinstance(redis, RedisSentinelSet)
    await warmed(service)
    crowd = Crowd(service.nodes, service.nodes[0], rng)
    async with crowd:
        await asyncio.sleep(0.5)
        await asyncio.to_thread(redis.hold_replication)
        until = time.monotonic() + HELD_S
        while (left_s := until - time.monotonic()) > -HELD_S and len(crowd.ghosts) < (
            3 if left_s > 0 else 1
        ) * ENDS_MIN:
            await crowd.lose_one(rng.choice(service.nodes))
        if (
            is_quiet
        ):  # whoever writes meanwhile closes the cache by that; else only who answers can show that it is another Redis
            await crowd.only_read()
        failing_over = asyncio.create_task(asyncio.to_thread(redis.failover, lose_last_writes=True))
        while not failing_over.done():
            await asyncio.sleep(0.05)
            if not is_quiet:
                await crowd.lose_one(rng.choice(service.nodes))
        await crowd.haunt()
        assert failing_over.result().run("DBSIZE"), "the replica has nothing that could be believed"
        await asyncio.sleep(0.5)
    await warmed(service)
    await crowd.haunt()
    await asyncio.to_thread(redis.rejoin)
    return crowd


async def test_what_a_replica_has_missed_is_not_believed(service: Running, rng: random.Random) -> None:
    for number in range(ROUNDS):
        crowd = await failed_over(service, rng, is_quiet=number % 2 == 0)
        assert crowd.book.faults() == []
        assert len(crowd.ghosts) >= ENDS_MIN


@pytest.mark.soak
@pytest.mark.skipif(not IS_SOAK, reason="takes long: SESSILE_SOAK=1")
async def test_without_a_look_at_who_answers_it_is_believed(service: Running, rng: random.Random) -> None:
    """So the test above would find it."""
    with planted(service, "takes_any_redis"):
        for _ in range(PLANTED_TRIES):
            if (await failed_over(service, rng)).book.accepted():
                return
    pytest.fail("the planted error was not found")
