"""The fault matrix, the part where a process is killed or stopped, or cannot write. The table is in `test_matrix.py`."""

from __future__ import annotations

import resource
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import pytest
from sqlalchemy import event
from sqlalchemy.engine import make_url

from sessile.testing.fault_proxy import FaultProxy
from tests.faults.cells import heal, redis_gone
from tests.faults.conftest import BOTH_LANES, HOLD_S, IS_SOAK, PERIOD_S, World, rounds
from tests.faults.history import AWAY, NOTHING, RECOVERED_WITHIN_S, SQL_AWAY, Allowed
from tests.faults.load import Person
from tests.faults.processes import ProcessNode, merge

KILLS: Final = 20 if IS_SOAK else 1
STOPS_S: Final = (0.3, 0.6, 2.0, 5.0, 10.0) if IS_SOAK else (2.0,)


def process(
    stack: ExitStack, world: World, lane: str, name: str, people: Sequence[Person] = (), *, only_reads: bool = False
) -> ProcessNode:
    """With ways of its own to both servers."""
    redis = stack.enter_context(FaultProxy("127.0.0.1", world.redis.port))
    settings: dict[str, Any] = {
        "database_url": world.database_url,
        "redis_url": world.redis.url(port=redis.port),
        "fence_period_s": PERIOD_S,
    }
    if world.database_url.startswith("postgresql"):
        sql = stack.enter_context(FaultProxy("127.0.0.1", world.postgres.port))
        settings["database_url"] = world.postgres.url(world.database_url.rpartition("/")[2], port=sql.port)
    return stack.enter_context(ProcessNode(lane, name, settings, people, only_reads=only_reads))


def test_killed_in_the_middle(world: World) -> None:
    """What a process acknowledged before it was killed is there; the others notice nothing of it: neither of rows that it had locked, nor of entries
    that it had marked."""
    round_ = world.staff(BOTH_LANES)
    round_.history.broken_at = time.monotonic()
    dead: list[ProcessNode] = []
    for number in range(KILLS):
        with ExitStack() as stack:
            pair = [process(stack, world, lane, f"{lane}-{number}") for lane in BOTH_LANES]
            for one in pair:
                one.wait()
                round_.here.append(one.station.writer)
            time.sleep(0.3)
            for one in pair:
                one.kill()
            dead += pair
    round_.history.healed_at = time.monotonic()
    round_.until_recovered()
    round_.stop()
    merge(round_.history, *(one.history for one in dead))
    round_.history.dead |= {one.name for one in dead}
    round_.stations += [one.station for one in dead]
    world.judge()


def test_stopped_and_continued(world: World) -> None:
    """A process that was stopped comes back and believes that no time has passed; it must not let in who was logged out meanwhile. The one who logs
    them out cannot reach Redis, so nothing but the age of the look tells."""
    round_ = world.staff(BOTH_LANES)
    doomed = round_.doom(2 * len(STOPS_S))
    with ExitStack() as stack:
        sleepers = [process(stack, world, lane, f"sleeper-{lane}", doomed, only_reads=True) for lane in BOTH_LANES]
        for sleeper in sleepers:
            sleeper.wait()
        round_.history.broken_at = time.monotonic()
        for number, stop_s in enumerate(STOPS_S):
            _stop(world, sleepers, doomed[2 * number : 2 * number + 2], stop_s)
        round_.history.healed_at = time.monotonic()
        round_.until_recovered()
        for sleeper in sleepers:
            sleeper.end()
    round_.stop()
    merge(round_.history, *(sleeper.history for sleeper in sleepers))
    history = world.judge(Allowed(longest_s=3.0 + max(STOPS_S)))
    for sleeper in sleepers:
        asked = [c for c in history.calls if c.node == sleeper.name and c.subject in {one.session_id for one in doomed}]
        assert any(c.outcome == "SessionEnded" for c in asked), f"{sleeper.name} was not asked for who was logged out"


def _stop(world: World, sleepers: Sequence[ProcessNode], doomed: Sequence[Person], stop_s: float) -> None:
    with world.round.at_rest():
        for sleeper in sleepers:
            sleeper.pause()
        stopped_at = time.monotonic()
        for node in world.nodes:
            redis_gone(node)
        for node, person in zip(world.nodes, doomed, strict=True):
            world.round.end(node, person)
        time.sleep(max(0.0, stopped_at + stop_s - time.monotonic()))
        for sleeper in sleepers:
            sleeper.resume()
        time.sleep(0.2)
        for node in world.nodes:
            heal(node)
    world.round.until_cached("after a stop")
    time.sleep(PERIOD_S)


# -- SQLite -------------------------------------------------------------------------------------------------------------------------------


def busy(world: World) -> Iterator[None]:
    """Another process writes for a while."""
    connection = sqlite3.connect(make_url(world.database_url).database or "", isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    yield
    connection.execute("ROLLBACK")
    connection.close()


def full(world: World) -> Iterator[None]:
    """There is no room for another page."""
    pages = [1]

    def bound(connection: Any, *_: Any) -> None:
        connection.execute(f"PRAGMA max_page_count={pages[0]}")

    for node in world.nodes:
        event.listen(node.manager._store.database._engine, "checkout", bound)
    yield
    # Pages that were emptied before are used first.
    deadline = time.monotonic() + 10
    while not any(call.outcome == AWAY for call in world.round.history.calls) and time.monotonic() < deadline:
        time.sleep(0.1)
    pages[0] = 2**30


SQLITE: Final = {"busy": (busy, NOTHING), "full": (full, SQL_AWAY)}


@rounds
@pytest.mark.parametrize("cell", SQLITE)
def test_sqlite(world: World, tmp_path: Path, cell: str, lanes: Sequence[str], seed: int) -> None:
    world.database_url = f"sqlite:///{tmp_path}/sessile.db"
    fault, allowed = SQLITE[cell]
    history = world.play(lanes, contextmanager(fault), allowed, seed=seed)
    refused = sum(call.outcome == AWAY for call in history.calls)
    assert bool(refused) == (allowed is not NOTHING)


def test_sqlite_cannot_write(world: World, tmp_path: Path) -> None:
    """Each write to a file fails (EFBIG, which SQLite reports as a failure of the disk): refused, and nothing else."""
    world.database_url = f"sqlite:///{tmp_path}/sessile.db"
    round_ = world.staff(("asyncio",))
    with ExitStack() as stack:
        ones = [process(stack, world, lane, f"bound-{lane}") for lane in BOTH_LANES]
        for one in ones:
            one.wait()
        round_.history.broken_at = time.monotonic()
        for one in ones:
            resource.prlimit(one.pid, resource.RLIMIT_FSIZE, (1024, resource.RLIM_INFINITY))
        time.sleep(max(HOLD_S, 2.0))  # on a busy machine each has to come to a write meanwhile
        for one in ones:
            resource.prlimit(one.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        round_.history.healed_at = time.monotonic()
        time.sleep(RECOVERED_WITHIN_S / 2)
        for one in ones:
            one.end()
    round_.stop()
    merge(round_.history, *(one.history for one in ones))
    round_.stations += [one.station for one in ones]
    history = world.judge(SQL_AWAY)
    for one in ones:
        assert any(c.outcome == AWAY for c in history.calls if c.node == one.name), f"{one.name} was not hindered"
