"""When an end has returned, no node accepts the session in a request that begins later, whatever is cut off meanwhile; nobody else is logged out."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import pytest

from sessile.testing.shows import shows_security
from tests.nodes.crowd import IS_SOAK, LONG_MARKS, Crowd, planted, recovered, warmed
from tests.nodes.running import FENCE_PERIOD_S, Node, Running

pytestmark = pytest.mark.server

ROUNDS = 6 if IS_SOAK else 1
ROUND_S = 5.0 if IS_SOAK else 1.5
STOPPED_S = 1.5 * FENCE_PERIOD_S
ENDS_MIN = 8
PLANTED_TRIES = 5
BULK_SHARE = 0.3


def _nothing(_b: Node, _c: Node) -> None:
    """All is well."""


def _no_redis(b: Node, _c: Node) -> None:
    b.to_redis.faults.refuse()


def _silent_redis(b: Node, _c: Node) -> None:
    b.to_redis.faults.half_open()


def _no_sql(_b: Node, c: Node) -> None:
    c.to_postgres.faults.refuse()


def _neither(b: Node, c: Node) -> None:
    _no_redis(b, c)
    _no_sql(b, c)


def _silent_sql(_b: Node, c: Node) -> None:
    c.to_postgres.faults.half_open()


def _stopped(b: Node, c: Node) -> None:
    """It wakes up with what it believed before, and must not believe it any more."""
    c.pause()
    _no_redis(b, c)
    threading.Timer(STOPPED_S, c.resume).start()


@dataclass(frozen=True)
class Case:
    """What is cut off, and the error that must be found when it is planted into every node."""

    cut: Callable[[Node, Node], None]
    cut_off: frozenset[str] = frozenset()
    plant: str = ""
    takes_long: bool = False


CASES = {
    "all is well": Case(_nothing, plant="tells_no_cache"),
    "b without Redis": Case(_no_redis, plant="waits_for_nobody"),
    "b before a silent Redis": Case(_silent_redis, plant="waits_for_nobody"),
    "c without SQL": Case(_no_sql, frozenset("c"), plant="tells_no_cache"),
    "b without Redis and c without SQL": Case(_neither, frozenset("c"), plant="believes_old_looks"),
    "c before a silent SQL": Case(_silent_sql, frozenset("c"), plant="tells_no_cache", takes_long=True),
    "b without Redis while c is stopped": Case(_stopped, takes_long=True),
}
KNOWN_BY = "b without Redis and c without SQL"
"""Whose planted error is looked for in every run."""


def _cases(names: Iterable[str], *, long: Callable[[str], bool]) -> list[Any]:
    return [pytest.param(name, marks=LONG_MARKS if long(name) else ()) for name in names]


async def under_load(case: Case, service: Running, rng: random.Random, seconds: float) -> Crowd:
    """A crowd that was there while it was cut off, and a moment longer."""
    a, b, c = service.nodes
    await warmed(service)
    async with Crowd(service.nodes, a, rng) as crowd:
        await asyncio.sleep(0.3)
        case.cut(b, c)
        # The first end after the cut is the one that matters most: every node still believes its cache.
        await crowd.lose_one(b)
        until = time.monotonic() + seconds

        async def end() -> None:
            while time.monotonic() < until or len(crowd.book.returned) < ENDS_MIN:
                by = rng.choice(service.nodes)
                await (crowd.lose_all_of_one(by) if rng.random() < BULK_SHARE else crowd.lose_one(by))

        await asyncio.gather(end(), end())
        service.heal()
        await crowd.lose_one(b)
    return crowd


@pytest.mark.parametrize("name", _cases(CASES, long=lambda name: CASES[name].takes_long))
@shows_security("V7.4.1")
async def test_an_end_is_final_under_load(name: str, service: Running, rng: random.Random) -> None:
    case = CASES[name]
    for _ in range(ROUNDS):
        crowd = await under_load(case, service, rng, ROUND_S)
        assert crowd.book.faults(case.cut_off) == []
        await recovered(service)


@pytest.mark.parametrize(
    "name", _cases((name for name, case in CASES.items() if case.plant), long=lambda name: name != KNOWN_BY)
)
async def test_a_planted_error_is_found(name: str, service: Running, rng: random.Random) -> None:
    """Whether it shows hangs on moments, so there are some tries."""
    case = CASES[name]
    with planted(service, case.plant):
        for _ in range(PLANTED_TRIES):
            crowd = await under_load(case, service, rng, seconds=0.5)
            if crowd.book.accepted(case.cut_off):
                return
            await recovered(service)
    pytest.fail("the planted error was not found")


async def test_what_an_older_redis_has_is_not_believed(service: Running, rng: random.Random) -> None:
    """It is restarted with what it had before the ends."""
    crowd = await with_older_redis(service, rng)
    assert crowd.book.faults() == []


async def with_older_redis(service: Running, rng: random.Random) -> Crowd:
    a, b, _ = service.nodes
    redis = service.master
    await warmed(service)
    crowd = Crowd(service.nodes, a, rng)
    async with crowd:
        await asyncio.sleep(0.5)
        copy = await asyncio.to_thread(redis.copy_data)
        for by in (a, b, a, b):
            await crowd.lose_one(by)
        # Whoever wrote meanwhile would close the cache by that; here only who answers can show that it is another Redis.
        await crowd.only_read()
        await asyncio.to_thread(redis.restart_from, copy)
        await crowd.haunt()
        await asyncio.sleep(1.0)
    await warmed(service)
    await crowd.haunt()
    return crowd


@pytest.mark.soak
@pytest.mark.skipif(not IS_SOAK, reason="takes long: SESSILE_SOAK=1")
async def test_without_a_look_at_who_answers_it_is_believed(service: Running, rng: random.Random) -> None:
    """So the test above would find it."""
    with planted(service, "takes_any_redis"):
        for _ in range(PLANTED_TRIES):
            if (await with_older_redis(service, rng)).book.accepted():
                return
    pytest.fail("the planted error was not found")
