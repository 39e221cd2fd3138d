"""The fault matrix: what people notice when a part of the system breaks, under load, in both lanes at once.

In each cell two nodes or three, one an asyncio manager and one a blocking one in threads, serve one PostgreSQL through one Redis; each has a network
of its own to both. What must hold is in `history.py`.

| | what breaks | Redis: `test_redis[...]` | database: `test_sql[...]` of `test_matrix_sql.py` |
|---|---|---|---|
| F-1 | connection refused | refused | refused |
| F-2 | reset, also in the middle of a command | reset, reset mid-command | reset, reset mid-command, connections ended |
| F-3 | it was done, and the reply is lost | reply of GET, of the mark, of the publication lost | reply of COMMIT lost |
| F-4 | latency of 50 ms, about the timeout, far beyond it | latency 50 ms, of the timeout, 1 s | latency 50 ms, 1 s |
| F-5 | half-open | half-open | half-open, `test_a_network_that_stays_dead` |
| F-6 | 1 kB/s | 1 kB/s | 1 kB/s |
| F-7 | in slices | sliced | sliced |

| | what breaks | where |
|---|---|---|
| F-8 | Redis killed and restarted with its data | `test_redis[killed]`, `[restarted at once]` |
| F-9 | Redis restarted empty, emptied, evicting | `test_redis[restarted empty]`, `[emptied again and again]`, `[evicts]` |
| F-9b | Redis restarted from an older copy | `test_ended[Redis from an older copy...]` of `test_ended.py` |
| F-10 | no memory for writes | `test_redis[memory full]` |
| F-11 | READONLY | `test_redis[read-only]`, `test_sentinel[failover_in_order]` of `test_ended.py` |
| F-12 | a failover that loses acknowledged writes | `test_sentinel[failover_that_loses_writes]` of `test_ended.py` |
| F-13 | PostgreSQL kill -9 | `test_sql[killed]`, `[killed again and again]`, `[both killed]` |
| F-14 | serialization failures, deadlocks | `test_sql[serialization failures]`, `[deadlocks]` |
| F-15 | no connection left in the pool | `test_pool_exhausted` of `test_matrix_sql.py` |
| F-16 | SQLite busy, full, failing to write | `test_sqlite[busy]`, `[full]`, `test_sqlite_cannot_write` of `test_processes.py` |
| F-17 | a process killed in the middle | `test_killed_in_the_middle` of `test_processes.py`, `test_ended[the one who ends dies]` |
| F-18 | stopped and continued | `test_stopped_and_continued` of `test_processes.py`, `test_redis[stopped]`, `[busy]`, `test_sql[stopped]` |
| F-19 | SIGTERM with open sockets | `tests/integration/server/test_drain.py` |
| F-21 | news lost, twice, out of order | `test_news.py`; `tests/integration/server/test_races.py` |
| F-22 | partitions: one node of several, both servers, one way | `test_redis[one node cut off]`, `[the other node cut off]`, `[nodes cut off by turns]`, `[one way up]`, `[one way down]`, `test_sql[one node cut off]`, `[both away]`, `[both half-open]`, `test_ended[...]` |

How long reads go on without a database: `test_reads_go_on_for_a_fence_period`. Everything for minutes: `test_storms.py`. That the cells can fail:
`test_plants.py`. Clocks, keys, upgrades, damaged records and login storms (F-20, F-23 to F-26) are not looked at here.
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

RARE: Final = ("latency of the timeout", "restarted at once", "evicts", "busy", "the other node cut off", "reset")
"""Hardly another case than one of the others."""


@rounds
@pytest.mark.parametrize("cell", listed([name for name in REDIS if name not in RARE], RARE))
def test_redis(world: World, cell: str, lanes: Sequence[str], seed: int) -> None:
    """Nobody sees an error of any kind."""
    world.is_sql_direct = True
    world.play(lanes, contextmanager(REDIS[cell]), seed=seed)
