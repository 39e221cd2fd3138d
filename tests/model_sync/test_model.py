"""The correct protocol holds in every order of steps and in random walks; every planted error is found.

SESSILE_SOAK=1 explores further (budgets and numbers of walks below).
"""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from typing import Any

import pytest

from sessile.model.document import Operation
from tests.conftest import SEED
from tests.model_sync.backend import Backend
from tests.model_sync.device import Box
from tests.model_sync.explore import exhaust, settle, walk
from tests.model_sync.mutants import MUTANTS, Mutant
from tests.model_sync.world import Budgets, Violation, World

SOAK = os.environ.get("SESSILE_SOAK") == "1"
WORLDS_MAX = 60_000 if SOAK else 1_000
WALKS = 20_000 if SOAK else 80
WALKS_OF_MUTANT = 3_000
WALK_STEPS = 160


def plain(_device: int, edit: int, nonce: str) -> Sequence[Operation]:
    """Shows itself, is counted, and collides with what the other device does."""
    return [
        {"op": "append", "path": "/log", "item": {"id": nonce}},
        {"op": "increment", "path": "/n", "by": 1},
        {"op": "set", "path": "/x", "value": f"{nonce}/{edit}"},
    ]


def small(_device: int, _edit: int, nonce: str) -> Sequence[Operation]:
    return [{"op": "append", "path": "/log", "item": {"id": nonce}}, {"op": "increment", "path": "/n", "by": 1}]


def world_of(mutant: Mutant) -> World:
    world = World(
        backend=mutant.backend(),
        devices=tuple(mutant.device(box_no) for box_no in mutant.boxes),
        boxes=tuple(Box(f"device-{number}") for number in sorted(set(mutant.boxes))),
        budgets=mutant.budgets,
        rules=mutant.rules,
        operations_of=small,
    )
    return settle(world) if mutant.begins_connected else world


def correct(budgets: Budgets, **more: Any) -> Mutant:
    return Mutant("correct", budgets, "", **more)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_planted_error_is_found(mutant: Mutant) -> None:
    with pytest.raises(Violation) as found:
        search(mutant)
    assert found.value.args[0] == mutant.found_as


def search(mutant: Mutant) -> None:
    if mutant.is_found_by_walks:
        for number in range(WALKS_OF_MUTANT):
            walk(world_of(mutant), random.Random(SEED + number), WALK_STEPS)
    else:
        exhaust(world_of(mutant), worlds_max=100_000)


CONFIGURATIONS = {
    "two connect": correct(Budgets((0, 0), cut=1, kill_server=1), begins_connected=False),
    "one connects while the other writes": correct(Budgets((1, 0), cut=1), begins_connected=False),
    "a device is killed": correct(Budgets((2, 0), kill_device=1)),
    "the server is killed": correct(Budgets((1, 1), kill_server=1)),
    "a connection is cut": correct(Budgets((2, 0), cut=1)),
    "news are lost": correct(Budgets((2, 0), lose_news=1)),
    "the store is away": correct(Budgets((2, 0), refuse_commit=1)),
    "the store is away after a commit": correct(Budgets((1, 1), unknown_commit=1)),
    "somebody restores": correct(Budgets((1, 1), restore=1)),
    "the database goes back": correct(Budgets((2, 0), roll_back=1)),
    "three write": correct(Budgets((1, 1, 1)), boxes=(0, 1, 2)),
    "everything once": correct(Budgets((1, 1), cut=1, kill_server=1, kill_device=1, lose_news=1, refuse_commit=1)),
    "two processes on one outbox, without a leader": correct(Budgets((1, 1), cut=1), boxes=(0, 0)),
}


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_every_order_of_steps_is_right(name: str) -> None:
    explored = exhaust(world_of(CONFIGURATIONS[name]), WORLDS_MAX)
    print(f"{name}: {explored}")
    assert explored.worlds > 100
    assert explored.at_rest > 0 or not explored.is_complete


def random_world(seed: int) -> World:
    rng = random.Random(seed)
    count = rng.choice((1, 2, 2, 3))
    boxes = tuple(rng.randrange(number + 1) if rng.random() < 0.3 else number for number in range(count))
    boxes = tuple(sorted(set(boxes)).index(box) for box in boxes)
    budgets = Budgets(
        tuple(rng.randrange(6) for _ in range(count)),
        **{
            fault: rng.randrange(4)
            for fault in ("cut", "kill_server", "kill_device", "lose_news", "refuse_commit", "unknown_commit")
        },
        restore=int(rng.random() < 0.2),
        roll_back=int(len(set(boxes)) == count and rng.random() < 0.2),
    )
    return World(
        backend=Backend(),
        devices=tuple(correct(budgets).device(box_no) for box_no in boxes),
        boxes=tuple(Box(f"device-{number}") for number in range(len(set(boxes)))),
        budgets=budgets,
        frame_changes=rng.choice((1, 3)),
        operations_of=plain,
    )


def test_random_walks_come_to_the_same_rest() -> None:
    edits = 0
    for number in range(WALKS):
        seed = SEED + number
        try:
            rested = walk(random_world(seed), random.Random(seed), WALK_STEPS)
        except Violation as violation:
            pytest.fail(f"seed {seed}: {violation.args[0]} after {violation.args[1]}")
        edits += len(rested.made)
    assert edits > WALKS  # the walks did something
