"""The lanes and fakes that tests stand on must fail when they should."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from sessile.runtime.lane import CoreSuspended
from sessile.testing import FakeClock, SeededRandom
from sessile.testing.lanes import LANES
from sessile.testing.store_contract import Contract, StoreContract

BLOCKING, ASYNCIO = LANES["blocking"], LANES["asyncio"]


async def waits() -> int:
    await asyncio.sleep(0)
    return 1


def test_the_blocking_lane_refuses_what_waits() -> None:
    with pytest.raises(CoreSuspended):
        BLOCKING.run(waits())
    assert ASYNCIO.run(waits()) == 1


@pytest.mark.parametrize("lane", LANES.values(), ids=LANES)
def test_calls_together_return_and_raise_in_their_order(lane: Any) -> None:
    async def call(number: int) -> int:
        if number == 1:
            raise KeyError(number)
        return number

    async def body() -> list[Any]:
        outcome: list[Any] = await lane.together([lambda n=n: call(n) for n in range(3)])
        return outcome

    zero, one, two = lane.run(body())
    assert (zero, type(one), two) == (0, KeyError, 2)


def test_the_blocking_lane_is_concurrent() -> None:
    import threading

    meeting = threading.Barrier(3, timeout=10)

    async def meet() -> bool:
        meeting.wait()
        return True

    async def body() -> list[Any]:
        return list(await BLOCKING.together([meet, meet, meet]))

    assert BLOCKING.run(body()) == [True] * 3


def test_a_clock_moves_only_when_it_is_moved() -> None:
    clock = FakeClock()
    start = clock.now()
    assert clock.now() == start
    clock.advance(1.5)
    assert (clock.now() - start).total_seconds() == 1.5
    clock.set(datetime(2030, 1, 1, tzinfo=UTC))
    assert clock.now() == datetime(2030, 1, 1, tzinfo=UTC)
    with pytest.raises(ValueError, match="aware"):
        clock.set(datetime(2030, 1, 1))  # noqa: DTZ001 - what is refused


def test_seeded_randomness_repeats_and_does_not_repeat_itself() -> None:
    one, two = SeededRandom(1), SeededRandom(1)
    taken = [one.token_bytes(16) for _ in range(50)]
    assert taken == [two.token_bytes(16) for _ in range(50)]
    assert len(set(taken)) == 50
    assert SeededRandom(2).token_bytes(16) != taken[0]


def test_every_test_of_the_contract_is_wrapped_for_its_lanes() -> None:
    groups = StoreContract.__mro__[1:-1]
    tests = [(group, name) for group in groups for name in vars(group) if name.startswith("test_")]
    assert len(tests) > 80
    assert len({name for _, name in tests}) == len(tests), "a name used twice hides a test"
    for group, name in tests:
        assert not asyncio.iscoroutinefunction(vars(group)[name])
        assert vars(group)[name].__doc__ is None or vars(group)[name].__doc__.strip()
    assert issubclass(StoreContract, Contract)
