"""What has ended stays ended, where that is hardest: a Redis that forgets the end, a node that cannot be told of it. The table is in `test_matrix.py`.

The sessions are in every node's cache when they end, and every node is asked for them from the moment when the end has returned.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import pytest

from tests.faults.cells import heal, redis_away, redis_gone, redis_hears, redis_talks, sql_away, sql_gone
from tests.faults.conftest import World, rounds
from tests.faults.history import NOTHING, SQL_AWAY
from tests.faults.load import Person
from tests.faults.nodes import Node

DOOMED: Final = 6


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
    world.round.rest = True
    time.sleep(0.1)
    world.redis.restart_from(copy)
    world.round.ask_again(doomed)
    yield
    world.round.ask_again(doomed)
    world.round.rest = False


@contextmanager
def older_copy_with_writes(world: World) -> Iterator[None]:
    doomed = world.round.doom(DOOMED)
    copy = world.redis.copy_data()
    end_all(world, doomed)
    world.redis.restart_from(copy)
    world.round.ask_again(doomed)
    yield
    world.round.ask_again(doomed)


@rounds
@pytest.mark.parametrize("fault", [older_copy, older_copy_with_writes])
def test_restored(world: World, fault: Callable[[World], object], lanes: Sequence[str], seed: int) -> None:
    world.play(lanes, fault, seed=seed)  # type: ignore[arg-type]


def apart(*breakings: tuple[int, Callable[[Node], None]]) -> Callable[[World], object]:
    """These nodes lose these servers; then the first one ends sessions."""

    @contextmanager
    def fault(world: World) -> Iterator[None]:
        doomed = world.round.doom(DOOMED)
        for number, breaking in breakings:
            breaking(world.nodes[number])
        for person in doomed:
            world.round.end(world.nodes[0], person)
        yield
        for node in world.nodes:
            heal(node)

    return fault


APART: Final = {
    "the one who ends has no Redis": (apart((0, redis_gone)), NOTHING),
    "the one who ends is not answered by Redis": (apart((0, redis_hears)), NOTHING),
    "the one who ends is not heard by Redis": (apart((0, redis_talks)), NOTHING),
    "nor has the other one SQL": (apart((1, sql_away), (0, redis_gone)), SQL_AWAY),
    "nor the other one SQL, refused": (apart((1, sql_gone), (0, redis_away)), SQL_AWAY),
}


@rounds
@pytest.mark.parametrize("case", APART)
@pytest.mark.parametrize("is_reversed", [False, True], ids=["", "reversed"])
def test_apart(world: World, case: str, lanes: Sequence[str], seed: int, *, is_reversed: bool) -> None:
    fault, allowed = APART[case]
    world.play(lanes[::-1] if is_reversed else lanes, fault, allowed, seed=seed)  # type: ignore[arg-type]
