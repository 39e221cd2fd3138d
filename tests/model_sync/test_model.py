"""The correct protocol holds in every order of steps and in random walks; every planted error is found.

SESSILE_SOAK=1 explores further (budgets and numbers of walks below).
"""

from __future__ import annotations

import os
import random
from collections.abc import Sequence

import pytest

from sessile.model.document import Operation
from tests.conftest import SEED
from tests.model_sync.backend import Backend
from tests.model_sync.device import Box
from tests.model_sync.explore import Explored, exhaust, walk
from tests.model_sync.mutants import MUTANTS, Mutant
from tests.model_sync.world import Budgets, Violation, World

SOAK = os.environ.get("SESSILE_SOAK") == "1"
WORLDS_MAX = 2_000_000 if SOAK else 20_000
WALKS = 20_000 if SOAK else 250
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


def world_of(mutant: Mutant, *, boxes: Sequence[int] = (0, 1)) -> World:
    """`boxes`: the outbox of each device; the same number twice is two processes on one."""
    return World(
        backend=mutant.backend(),
        devices=tuple(mutant.device(box_no) for box_no in boxes),
        boxes=tuple(Box(f"device-{number}") for number in sorted(set(boxes))),
        budgets=mutant.budgets,
        rules=mutant.rules,
        frame_changes=mutant.frame_changes,
        operations_of=small,
    )


def correct(budgets: Budgets) -> Mutant:
    return Mutant("correct", budgets)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_planted_error_is_found(mutant: Mutant) -> None:
    with pytest.raises(Violation):
        exhaust(world_of(mutant), worlds_max=100_000)


CONFIGURATIONS = {
    "a device is killed": Budgets((1, 0), kill_device=1),
    "the server is killed": Budgets((1, 0), kill_server=1),
    "a connection is cut": Budgets((1, 0), cut=1),
    "news are lost": Budgets((2, 0), lose_news=1),
    "the store is away": Budgets((1, 0), refuse_commit=1),
    "the store is away after a commit": Budgets((1, 0), unknown_commit=1),
    "somebody restores": Budgets((1, 0), restore=1),
    "both write": Budgets((1, 1)),
}


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_every_order_of_steps_is_right(name: str) -> None:
    explored = exhaust(world_of(correct(CONFIGURATIONS[name])), WORLDS_MAX)
    assert explored.worlds > 300
    assert explored.at_rest > 0 or not explored.is_complete


def test_two_processes_on_one_outbox_need_no_leader() -> None:
    explored: Explored = exhaust(world_of(correct(Budgets((1, 1), cut=1)), boxes=(0, 0)), WORLDS_MAX)
    assert explored.worlds > 300


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
