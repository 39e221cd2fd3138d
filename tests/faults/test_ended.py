"""What has ended stays ended, where that is hardest: a Redis that forgets the end, a node that cannot be told of it. The table is in `test_matrix.py`.

The sessions are in every node's cache when they end, and every node is asked for them from the moment when the end has returned.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Final
from unittest.mock import patch

import pytest

from sessile.engine.caching import Plan
from sessile.testing.servers import RedisSentinelSet
from tests.faults.cells import heal, redis_away, redis_gone, redis_hears, redis_talks, sql_away, sql_gone
from tests.faults.conftest import HOLD_S, PERIOD_S, World, listed, rounds
from tests.faults.history import NOTHING, SQL_AWAY
from tests.faults.load import Person
from tests.faults.nodes import Node

Fault = Callable[[World], AbstractContextManager[None]]
DOOMED: Final = 3


def end_all(world: World, doomed: Sequence[Person]) -> None:
    """On each node by turns."""
    for number, person in enumerate(doomed):
        world.round.end(world.nodes[number % len(world.nodes)], person)


@contextmanager
def older_copy(world: World) -> Iterator[None]:
    """Redis comes back as it was before the ends. Nobody writes meanwhile: a write would begin another epoch."""
    doomed = world.round.doom(DOOMED)
    copy = world.redis.copy_data()
    end_all(world, doomed)
    with world.round.at_rest():
        world.redis.restart_from(copy)
        world.round.ask_again(doomed)
        yield
        world.round.ask_again(doomed)


@contextmanager
def older_copy_with_writes(world: World) -> Iterator[None]:
    doomed = world.round.doom(DOOMED)
    copy = world.redis.copy_data()
    end_all(world, doomed)
    world.redis.restart_from(copy)
    world.round.ask_again(doomed)
    yield
    world.round.ask_again(doomed)


def apart(*breakings: tuple[int, Callable[[Node], None]]) -> Fault:
    """These nodes lose these servers; then the first one ends sessions. Nobody writes meanwhile, who could raise the fence before."""

    @contextmanager
    def fault(world: World) -> Iterator[None]:
        doomed = world.round.doom(DOOMED)
        with world.round.at_rest():
            for number, breaking in breakings:
                breaking(world.nodes[number])
            for person in doomed:
                world.round.end(world.nodes[0], person)
            yield
        for node in world.nodes:
            heal(node)

    return fault


class Died(Exception):
    """Stands for the end of the process."""


@contextmanager
def dies_after_the_commit(world: World) -> Iterator[None]:
    """One node cannot reach Redis and dies when its ends are committed, before it could tell anybody. What it promised nobody is still true when the
    fence period is over."""
    doomed = world.round.doom(DOOMED)
    node = world.nodes[0]

    settle = node.cached.settle
    ids = {person.session_id for person in doomed}

    async def dies(plan: Plan) -> None:
        if any(told.session_id in ids for told in plan.publications):
            raise Died
        await settle(plan)

    with world.round.at_rest():
        redis_gone(node)
        with patch.object(node.cached, "settle", dies):
            _end_and_die(world, node, doomed)
        heal(node)
        time.sleep(1.1 * PERIOD_S)
        world.round.ask_again(doomed)
        yield


def _end_and_die(world: World, node: Node, doomed: Sequence[Person]) -> None:
    for person in doomed:
        world.round.history.end_began[person.session_id] = time.monotonic()
        with suppress(Died):
            node.run(node.call("destroy_session", person.session_id))
        world.round.history.end_returned[person.session_id] = time.monotonic() + 1.02 * PERIOD_S + 0.02


FAULTS: Final = {
    "the one who ends dies": dies_after_the_commit,
    "Redis from an older copy": older_copy,
    "the one who ends has no Redis": apart((0, redis_gone)),
    "the one who ends is not answered by Redis": apart((0, redis_hears)),
    "the one who ends is not heard by Redis": apart((0, redis_talks)),
    "nor has the other one SQL": apart((1, sql_away), (0, redis_gone)),
    "nor the other one SQL, refused": apart((1, sql_gone), (0, redis_away)),
    "Redis from an older copy, with writes": older_copy_with_writes,
}
WITHOUT_SQL: Final = frozenset({"nor has the other one SQL", "nor the other one SQL, refused"})


@rounds
@pytest.mark.parametrize("fault", listed(list(FAULTS)[:-1], list(FAULTS)[-1:]))
def test_ended(world: World, fault: str, lanes: Sequence[str], seed: int) -> None:
    _play(world, fault, lanes, seed)


@rounds
@pytest.mark.parametrize("fault", listed(["the one who ends has no Redis", "nor has the other one SQL"], []))
def test_ended_by_the_other_lane(world: World, fault: str, lanes: Sequence[str], seed: int) -> None:
    _play(world, fault, lanes[::-1], seed)


def _play(world: World, fault: str, lanes: Sequence[str], seed: int) -> None:
    allowed = SQL_AWAY if fault in WITHOUT_SQL else NOTHING
    world.play(lanes, FAULTS[fault], allowed, hold_s=HOLD_S / 2, seed=seed)


@contextmanager
def failover_that_loses_writes(world: World) -> Iterator[None]:
    """The new master has the sessions as they were before their ends, which the old one had acknowledged."""
    assert world.sentinels is not None
    doomed = world.round.doom(DOOMED)
    time.sleep(0.1)  # the replicas get these
    world.sentinels.hold_replication()
    end_all(world, doomed)
    with world.round.at_rest():
        world.sentinels.failover(lose_last_writes=True)
        world.round.ask_again(doomed)
        yield
        world.round.ask_again(doomed)
    world.sentinels.rejoin()


@contextmanager
def failover_in_order(world: World) -> Iterator[None]:
    """The old master becomes a replica while it is asked: READONLY."""
    assert world.sentinels is not None
    world.sentinels.failover()
    yield


@rounds
@pytest.mark.parametrize("fault", [failover_that_loses_writes, failover_in_order])
def test_sentinel(world: World, sentinels: RedisSentinelSet, fault: Fault, lanes: Sequence[str], seed: int) -> None:
    world.sentinels = sentinels
    world.play(lanes, fault, seed=seed)
