"""The fault matrix: what people notice when a part of the system breaks, under load, in both lanes at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.faults.conftest import CREWS, SEEDS, World
from tests.faults.history import NOTHING, Allowed

Cell = Callable[[World], Iterator[None]]


def refused(world: World) -> Iterator[None]:
    for node in world.nodes:
        node.redis.faults.refuse()
    yield
    heal(world)


def heal(world: World) -> None:
    for node in world.nodes:
        for way in (node.redis, node.sql):
            if way is not None:
                way.faults.heal()


@pytest.mark.parametrize("crew", CREWS, ids="+".join)
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("cell", [refused])
def test_redis(world: World, cell: Cell, seed: int, crew: tuple[str, ...]) -> None:
    world.play(crew, contextmanager(cell), seed=seed)
