"""A unit of work on the database for the application's own rows, and how the store is doing: both facades."""

from __future__ import annotations

import asyncio
import inspect
import sqlite3
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError

from sessile import AsyncSessionManager, ConfigurationError, SessionManager, Settings, StoreUnavailable
from sessile.testing import shows

POOL_SIZE = 3
UNITS = 12
both_lanes = pytest.mark.parametrize("kind", [SessionManager, AsyncSessionManager])


class Planted(Exception):
    pass


async def done(result: Any) -> Any:
    return await result if inspect.isawaitable(result) else result


def make_notes(connection: Connection) -> None:
    connection.execute(text("CREATE TABLE notes (id INTEGER PRIMARY KEY, words TEXT NOT NULL)"))


def note(number: int, connection: Connection) -> int:
    connection.execute(text("INSERT INTO notes VALUES (:number, 'x')"), {"number": number})
    return number


def numbers(connection: Connection) -> list[int]:
    return list(connection.execute(text("SELECT id FROM notes ORDER BY id")).scalars())


@asynccontextmanager
async def opened(kind: type[Any], tmp_path: Path) -> AsyncIterator[Any]:
    manager = kind(Settings(database_url=f"sqlite:///{tmp_path}/a.db", pool_size=POOL_SIZE, pool_timeout_s=1))
    await done(manager.open())
    try:
        await done(manager.transact(make_notes))
        yield manager
    finally:
        await done(manager.close())


@shows("A10", "blocking", "asyncio")
@both_lanes
async def test_what_returns_is_committed_and_what_raises_leaves_nothing(kind: type[Any], tmp_path: Path) -> None:
    def half(connection: Connection) -> None:
        note(2, connection)
        raise Planted

    async with opened(kind, tmp_path) as manager:
        assert await done(manager.transact(lambda connection: note(1, connection))) == 1
        with pytest.raises(Planted):
            await done(manager.transact(half))
        with pytest.raises(IntegrityError):  # the application's own fault comes through as it is
            await done(manager.transact(lambda connection: [note(3, connection), note(1, connection)]))
        assert await done(manager.transact(numbers)) == [1]
    other = sqlite3.connect(tmp_path / "a.db")
    assert other.execute("SELECT id FROM notes").fetchall() == [(1,)]
    other.close()


@shows("A10", "blocking", "asyncio")
@both_lanes
async def test_a_connection_comes_back_however_the_work_ends(kind: type[Any], tmp_path: Path) -> None:
    seen: list[Connection] = []

    def wrong(connection: Connection) -> None:
        seen.append(connection)
        raise Planted

    async with opened(kind, tmp_path) as manager:
        for _ in range(POOL_SIZE + 1):  # one that is kept back would be missing for the last
            with pytest.raises(Planted):
                await done(manager.transact(wrong))
        assert await done(manager.transact(numbers)) == []
        assert all(connection.closed for connection in seen)


@shows("A10", "blocking")
async def test_units_at_once_all_succeed_blocking(tmp_path: Path) -> None:
    async with opened(SessionManager, tmp_path) as manager:
        work = [lambda connection, number=number: note(number, connection) for number in range(UNITS)]
        made = await asyncio.gather(*(asyncio.to_thread(manager.transact, one) for one in work))
        assert made == manager.transact(numbers) == list(range(UNITS))


@shows("A10", "asyncio")
async def test_units_at_once_all_succeed_on_a_loop(tmp_path: Path) -> None:
    async with opened(AsyncSessionManager, tmp_path) as manager:
        work = [lambda connection, number=number: note(number, connection) for number in range(UNITS)]
        made = await asyncio.gather(*(manager.transact(one) for one in work))
        assert made == await manager.transact(numbers) == list(range(UNITS))


async def test_a_cancelled_caller_does_not_cut_its_work_in_half(tmp_path: Path) -> None:
    begun, go = threading.Event(), threading.Event()

    def slow(connection: Connection) -> None:
        note(1, connection)
        begun.set()
        go.wait(10)
        note(2, connection)

    async with opened(AsyncSessionManager, tmp_path) as manager:
        task = asyncio.create_task(manager.transact(slow))
        await asyncio.to_thread(begun.wait, 10)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        go.set()
        assert await manager.transact(numbers) == [1, 2]


@both_lanes
async def test_a_database_that_is_locked_is_an_outage(
    kind: type[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sessile.stores.sql.database._BUSY_TIMEOUT_MS", 50)
    async with opened(kind, tmp_path) as manager:
        other = sqlite3.connect(tmp_path / "a.db")
        other.execute("BEGIN IMMEDIATE")
        try:
            with pytest.raises(StoreUnavailable):
                await done(manager.transact(lambda connection: note(1, connection)))
        finally:
            other.close()
        assert await done(manager.transact(numbers)) == []


@both_lanes
async def test_a_store_without_a_database_says_so(kind: type[Any]) -> None:
    manager = kind(Settings(database_url="memory://"))
    await done(manager.open())
    with pytest.raises(ConfigurationError, match="SESSILE_DATABASE_URL"):
        await done(manager.transact(numbers))
    health = await done(manager.health())
    assert health.pool is None
    assert health.latency_ms > 0
    await done(manager.close())


@shows("A11", "blocking", "asyncio")
@both_lanes
async def test_health_counts_the_connections_that_are_in_use(kind: type[Any], tmp_path: Path) -> None:
    begun, go = threading.Event(), threading.Event()

    def slow(connection: Connection) -> None:
        begun.set()
        go.wait(10)

    async with opened(kind, tmp_path) as manager:
        idle = await done(manager.health())
        assert 0 < idle.latency_ms < 5000
        assert (idle.pool.size_max, 1 <= idle.pool.size <= POOL_SIZE) == (POOL_SIZE, True)
        running = asyncio.create_task(_in_lane(manager, slow))
        await asyncio.to_thread(begun.wait, 10)
        busy = await done(manager.health())
        go.set()
        await running
        assert busy.pool.in_use >= 1
        assert busy.pool.size >= 2, "the look itself took another connection"


async def _in_lane(manager: Any, work: Any) -> None:
    if isinstance(manager, AsyncSessionManager):
        await manager.transact(work)
    else:
        await asyncio.to_thread(manager.transact, work)


@both_lanes
async def test_a_database_that_cannot_be_read_is_not_healthy(kind: type[Any], tmp_path: Path) -> None:
    async with opened(kind, tmp_path) as manager:
        manager._store.database._engine.dispose()
        _spoil(tmp_path)
        with pytest.raises(StoreUnavailable):
            await done(manager.health())


def _spoil(folder: Path) -> None:
    for file in folder.glob("a.db*"):
        file.rename(file.with_name("away-" + file.name))
    (folder / "a.db").write_bytes(b"no database" * 100)
