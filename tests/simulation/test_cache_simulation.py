"""The real code of the cache, in orders that are drawn from seeds. A failure prints its seed and every step."""

from __future__ import annotations

import os

import pytest

from tests.simulation.plants import PLANTS
from tests.simulation.play import Broken, Play
from tests.simulation.test_orders import ORDERS

SEEDS = 20_000 if os.environ.get("SESSILE_SOAK") else 400
SEEDS_OF_A_PLANT = 6_000


def test_whatever_happens_the_promises_hold() -> None:
    serves = 0
    for seed in range(SEEDS):
        play = Play(seed)
        play.run()
        serves += play.serves
    print(f"{SEEDS} seeds, {serves} reads, none wrong")
    assert serves > SEEDS


@pytest.mark.parametrize("name", sorted(PLANTS.keys() - {plant for _, plant in ORDERS.values()}))
def test_a_planted_error_is_found(name: str) -> None:
    with PLANTS[name]():
        for seed in range(SEEDS_OF_A_PLANT):
            try:
                Play(seed).run()
            except Broken as broken:
                print(f"{name}: {str(broken).splitlines()[0]}")
                return
    pytest.fail(f"{SEEDS_OF_A_PLANT} seeds did not find it")
