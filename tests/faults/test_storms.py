"""For minutes, under load: Redis is killed, emptied, restored, failed over, cut off in every way; PostgreSQL is killed a hundred times. Nothing of what a
round must never show is shown once. How long: SESSILE_STORM_S."""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from contextlib import contextmanager
from typing import Final

import pytest

from sessile.testing.servers import RedisSentinelSet
from tests.faults.conftest import BOTH_LANES, World
from tests.faults.history import OK, SQL_AWAY, Call, line
from tests.faults.test_ended import FAULTS, WITHOUT_SQL, Fault, failover_in_order, failover_that_loses_writes
from tests.faults.test_matrix import REDIS

pytestmark = pytest.mark.soak
STORM_S: Final = float(os.environ.get("SESSILE_STORM_S", "300"))
KILLS: Final = max(3, int(STORM_S / 3))


class Storm:
    """Faults one after the other, and the times in which they lasted."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._windows: list[tuple[float, float]] = []
        self._names: Counter[str] = Counter()
        self._began = world.round.history.broken_at = time.monotonic()

    @property
    def age_s(self) -> float:
        return time.monotonic() - self._began

    def blow(self, name: str, fault: Fault, hold_s: float) -> None:
        began = time.monotonic()
        with fault(self._world):
            time.sleep(hold_s)
        self._windows.append((began, time.monotonic()))
        self._names[name] += 1
        self._world.round.until_cached(f"after {name}")
        time.sleep(0.5)

    def over(self) -> None:
        """Prints figures of the calls that met a fault, and of the others. Raises Wrong."""
        history = self._world.round.history
        history.healed_at = time.monotonic()
        self._world.round.until_recovered()
        self._world.round.stop()
        met = [call for call in history.calls if self._met(call)]
        others = [call for call in history.calls if not self._met(call)]
        print(
            f"\n{self._names.total()} faults: {', '.join(f'{count} {name}' for name, count in sorted(self._names.items()))}"
        )
        print(line("  during them", history, met))
        print(line("  and after them", history, others), end="", flush=True)
        self._world.judge()

    def _met(self, call: Call) -> bool:
        return any(call.ended >= began and call.began <= ended for began, ended in self._windows)


def test_redis_storm(world: World, rng: random.Random) -> None:
    """No error of any kind, nobody logged out, nobody let in again, nothing lost; and after each fault the cache is used again."""
    world.staff((*BOTH_LANES, "asyncio"))
    storm = Storm(world)
    faults: dict[str, Fault] = {name: contextmanager(cell) for name, cell in REDIS.items()}
    faults |= {name: fault for name, fault in FAULTS.items() if name not in WITHOUT_SQL}
    names: list[str] = []
    while storm.age_s < STORM_S:
        names = names or rng.sample(sorted(faults), len(faults))
        name = names.pop()
        storm.blow(name, faults[name], rng.uniform(0.3, 2.0))
    storm.over()


def test_sentinel_storm(world: World, sentinels: RedisSentinelSet, rng: random.Random) -> None:
    """Failovers one after the other; each loses what was written last, or nothing."""
    world.sentinels = sentinels
    world.staff(BOTH_LANES)
    storm = Storm(world)
    while storm.age_s < STORM_S / 2:
        fault = rng.choice([failover_that_loses_writes, failover_in_order])
        storm.blow(fault.__name__, fault, 0.5)
    storm.over()


def test_postgres_storm(world: World, rng: random.Random) -> None:
    """kill -9 a hundred times: every acknowledged change is there, once and in order."""
    round_ = world.staff(BOTH_LANES)
    round_.history.broken_at = time.monotonic()
    for _ in range(KILLS):
        time.sleep(rng.uniform(0.1, 1.0))
        world.postgres.kill()
        time.sleep(rng.uniform(0.0, 0.3))
        world.postgres.start()
    round_.history.healed_at = time.monotonic()
    round_.until_recovered()
    round_.until_cached("after the storm")
    round_.stop()
    history = world.judge(SQL_AWAY)
    done = [call for call in history.calls if call.verb in {"submit", "change", "change_data"} and call.outcome == OK]
    print(f"\n{KILLS} kills, {len(done)} acknowledged changes, all there, once, in order")
    assert len(done) > KILLS
