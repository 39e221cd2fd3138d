"""The fault matrix: what people notice when a part of the system breaks, under load, in both lanes at once.

In each cell two nodes or three, one an asyncio manager and one a blocking one in threads, serve one PostgreSQL through one Redis; each has a network
of its own to both. What must hold is in `history.py`.

| | what breaks | where |
|---|---|---|
| F-1 | connection refused | `test_redis[refused]`, `test_sql[refused]` |
| F-2 | reset in the middle of a command | `test_redis[reset...]`, `test_sql[reset...]` |
| F-3 | done, and the reply is lost | `test_redis[reply of ...]`, `test_sql[reply of COMMIT]` |
| F-4 | latency | `test_redis[latency ...]`, `test_sql[latency ...]` |
| F-5 | half-open connections | `test_redis[half-open]`, `test_sql[half-open]` |
| F-6 | 1 kB a second | `test_redis[1 kB/s]`, `test_sql[1 kB/s]` |
| F-7 | everything in slices | `test_redis[sliced]`, `test_sql[sliced]` |
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import contextmanager
from typing import Final

import pytest

from tests.faults import cells
from tests.faults.cells import CALL_TIMEOUT_S, Cell, loses_reply, of_one, on, redis_ways, reset_often
from tests.faults.conftest import World, listed, rounds

REDIS: Final[dict[str, Cell]] = {
    "refused": on(redis_ways, lambda faults: faults.refuse()),
    "reset": on(redis_ways, lambda faults: faults.reset()),
    "reset mid-command": reset_often(redis_ways, 701),
    "reply of GET lost": loses_reply(redis_ways, b"\r\nGET\r\n"),
    "reply of the mark lost": loses_reply(redis_ways, cells.is_mark),
    "reply of the publication lost": loses_reply(redis_ways, b"\r\nEVALSHA\r\n"),
    "latency 50 ms": on(redis_ways, lambda faults: faults.latency(0.05, 0.02)),
    "latency 1 s": on(redis_ways, lambda faults: faults.latency(1.0)),
    "latency of the timeout": on(redis_ways, lambda faults: faults.latency(CALL_TIMEOUT_S + 0.005, 0.03)),
    "half-open": on(redis_ways, lambda faults: faults.half_open()),
    "1 kB/s": on(redis_ways, lambda faults: faults.bandwidth(1000)),
    "sliced": on(redis_ways, lambda faults: faults.slice(7, 0.001)),
    "killed": cells.redis_killed,
    "restarted at once": cells.redis_restarted_at_once,
    "restarted empty": cells.redis_restarted_empty,
    "emptied again and again": cells.redis_emptied,
    "memory full": cells.redis_full,
    "evicts": cells.redis_evicts,
    "read-only": cells.redis_read_only,
    "stopped": cells.redis_stopped,
    "busy": cells.redis_busy,
    "one way up": of_one(0, cells.redis_hears),
    "one way down": of_one(1, cells.redis_talks),
    "one node cut off": of_one(0, cells.redis_away),
    "the other node cut off": of_one(1, cells.redis_gone),
    "nodes cut off by turns": cells.taking_turns,
}

RARE: Final = ("restarted at once", "evicts", "busy", "the other node cut off", "reset")
"""Hardly another case than one of the others."""


@rounds
@pytest.mark.parametrize("cell", listed([name for name in REDIS if name not in RARE], RARE))
def test_redis(world: World, cell: str, lanes: Sequence[str], seed: int) -> None:
    """Nobody sees an error of any kind."""
    world.play(lanes, contextmanager(REDIS[cell]), seed=seed)
