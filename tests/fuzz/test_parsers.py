"""A short run of each target, and the harness finds what is planted. `python -m tests.fuzz` is the long one."""

from __future__ import annotations

import random

import pytest

from tests.fuzz.mutating import fuzz
from tests.fuzz.targets import Canary, Target, targets

INPUTS = 3000
TARGETS = targets()


@pytest.mark.parametrize("name", TARGETS)
def test_no_input_leads_to_anything_but_a_typed_error(name: str, rng: random.Random) -> None:
    run = fuzz(TARGETS[name], INPUTS, rng)
    assert run.faults == []
    assert run.inputs == INPUTS
    assert Canary.alive, "a pickle was run"


def test_a_reader_with_a_fault_is_found_out(rng: random.Random) -> None:
    def careless(data: bytes) -> object:
        return int(data[2:4] or b"0")

    run = fuzz(Target(careless, (IndexError,), [b"ab12"]), INPUTS, rng)
    assert run.faults
    assert "ValueError" in run.faults[0][1]


def test_the_same_seed_gives_the_same_run() -> None:
    one, two = (fuzz(TARGETS["frames"], 500, random.Random(7)) for _ in range(2))
    assert (one.accepted, one.refused) == (two.accepted, two.refused)
