"""The fault matrix, the part where the database breaks: writes are refused with StoreUnavailable, reads go on for a fence period, nobody is logged
out, and what was acknowledged is there once and in order. The table is in `test_matrix.py`."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import contextmanager
from typing import Final

import pytest

from tests.faults import cells, sql_cells
from tests.faults.cells import Cell, loses_reply, of_one, on, redis_ways, reset_often, sql_away, sql_gone, sql_ways
from tests.faults.conftest import BOTH_LANES, World, listed, rounds
from tests.faults.history import AWAY, OK, SQL_AWAY, Allowed

SQL: Final[dict[str, Cell]] = {
    "refused": on(sql_ways, lambda faults: faults.refuse()),
    "reset": on(sql_ways, lambda faults: faults.reset()),
    "reset mid-command": reset_often(sql_ways, 5001),
    "reply of COMMIT lost": loses_reply(sql_ways, b"COMMIT"),
    "latency 50 ms": on(sql_ways, lambda faults: faults.latency(0.05, 0.02)),
    "latency 1 s": on(sql_ways, lambda faults: faults.latency(1.0)),
    "half-open": on(sql_ways, lambda faults: faults.half_open()),
    "1 kB/s": on(sql_ways, lambda faults: faults.bandwidth(1000)),
    "sliced": on(sql_ways, lambda faults: faults.slice(50, 0.001)),
    "killed": sql_cells.postgres_killed,
    "killed again and again": sql_cells.postgres_killed_often,
    "stopped": sql_cells.postgres_stopped,
    "connections ended": sql_cells.connections_ended,
    "serialization failures": sql_cells.serialization_fails,
    "deadlocks": sql_cells.deadlocks,
    "both away": sql_cells.everything(
        on(sql_ways, lambda faults: faults.refuse()), on(redis_ways, lambda faults: faults.refuse())
    ),
    "both half-open": sql_cells.everything(
        on(sql_ways, lambda faults: faults.half_open()), on(redis_ways, lambda faults: faults.half_open())
    ),
    "both killed": sql_cells.everything(sql_cells.postgres_killed, cells.redis_killed),
    "one node cut off": of_one(0, sql_away),
    "the other node cut off": of_one(1, sql_gone),
}

GIVEN_UP_S: Final = 25.0
RARE: Final = ("killed again and again", "stopped", "both killed", "both half-open", "reset")
"""Hardly another case than one of the others."""


@rounds
@pytest.mark.parametrize("cell", listed([name for name in SQL if name not in RARE], RARE))
def test_sql(world: World, cell: str, lanes: Sequence[str], seed: int) -> None:
    world.play(lanes, contextmanager(SQL[cell]), SQL_AWAY, seed=seed)


@rounds
def test_pool_exhausted(world: World, lanes: Sequence[str], seed: int) -> None:
    """Who gets no connection in time is told so; reads go on from the cache for a while."""
    world.play(lanes, contextmanager(sql_cells.pool_exhausted), SQL_AWAY, seed=seed, pool_size=3, pool_timeout_s=0.5)


@rounds
def test_reads_go_on_for_a_fence_period(world: World, lanes: Sequence[str], seed: int) -> None:
    """And not longer: then nobody can know any more who was logged out meanwhile."""
    history = world.play(lanes, contextmanager(SQL["refused"]), SQL_AWAY, seed=seed, hold_s=1.0, fence_period_s=0.6)
    let_in = [c for c in history.calls if c.verb == "authenticate" and c.outcome == OK]
    for node in world.nodes:
        after_s = [c.began - history.broken_at for c in let_in if c.node == node.name and c.ended < history.healed_at]
        assert any(s > 0.05 for s in after_s), f"{node.name} served nobody from its cache"
        assert max(after_s) < 0.6 + 0.1, f"{node.name} let somebody in {max(after_s):.2f} s after the database had gone"


@pytest.mark.soak
def test_a_network_that_stays_dead(world: World) -> None:
    """Without a FIN, and for longer than all timeouts: each call is given up in bounded time."""
    fault = contextmanager(SQL["half-open"])
    history = world.play(BOTH_LANES, fault, Allowed(away=SQL_AWAY.away, longest_s=GIVEN_UP_S), hold_s=40.0)
    for node in world.nodes:
        assert any(c.outcome == AWAY and c.ended < history.healed_at for c in history.calls if c.node == node.name)
