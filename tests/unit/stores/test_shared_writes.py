"""Writes of the asyncio lane that wait share a commit: each is whole or not there, whatever its neighbours do, and is told after the commit."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from sessile.model.errors import SessionNotFound, StoreUnavailable
from sessile.model.events import Event, EventKind
from sessile.ports import Transaction
from sessile.stores.sql import AsyncSqliteStore


@asynccontextmanager
async def opened(folder: Path) -> Any:
    store = AsyncSqliteStore(f"sqlite:///{folder}/a.db")
    await store.open()
    try:
        yield store
    finally:
        await store.close()


@asynccontextmanager
async def held(store: AsyncSqliteStore) -> Any:
    """Keeps the writer busy, so that what comes meanwhile has to wait and goes together."""
    go_on, begun = threading.Event(), threading.Event()

    def hold(_tx: Transaction) -> None:
        begun.set()
        go_on.wait(10)

    busy = asyncio.create_task(store.write(hold))
    await asyncio.to_thread(begun.wait, 10)
    yield go_on.set
    go_on.set()
    await busy


def put(tx: Transaction, key: str) -> int:
    tx.put_instance(key, key)
    tx.emit(Event(EventKind.SESSION_CHANGED, key))
    return id(tx._connection)  # type: ignore[attr-defined]


def put_and_refuse(tx: Transaction, key: str) -> None:
    put(tx, key)
    raise SessionNotFound


def put_and_break(tx: Transaction, key: str) -> None:
    put(tx, key)
    tx._connection.execute(text("INSERT INTO instance VALUES ('twice', 1), ('twice', 1)"))  # type: ignore[attr-defined]


def kept(tx: Transaction) -> list[str]:
    return [key for key in "abcdef" if tx.instance(key) is not None]


def test_those_that_wait_share_a_commit_and_each_is_told(tmp_path: Path, commits: list[str]) -> None:
    async def run() -> None:
        async with opened(tmp_path) as store:
            told: list[str] = []
            store.subscribe(lambda events: told.extend(event.key for event in events))
            async with held(store):
                commits.clear()
                waiting = [asyncio.create_task(store.write(put, key)) for key in "abc"]
                await asyncio.sleep(0)
            assert len({await one for one in waiting}) == 1
            assert commits == ["COMMIT", "COMMIT"], "one for who held the writer, one for the three"
            assert told == ["a", "b", "c"]
            assert await store.read(kept) == ["a", "b", "c"]

    asyncio.run(run())


def test_a_refusal_undoes_one_write_and_no_other(tmp_path: Path) -> None:
    async def run() -> None:
        async with opened(tmp_path) as store:
            told: list[str] = []
            store.subscribe(lambda events: told.extend(event.key for event in events))
            async with held(store):
                works = [(put, "a"), (put_and_refuse, "b"), (put, "c")]
                waiting = [asyncio.create_task(store.write(work, key)) for work, key in works]
                await asyncio.sleep(0)
            answers = await asyncio.gather(*waiting, return_exceptions=True)
            assert [type(answer) for answer in answers] == [int, SessionNotFound, int]
            assert (await store.read(kept), told) == (["a", "c"], ["a", "c"])

    asyncio.run(run())


def test_an_error_of_the_database_is_that_of_one_write_alone(tmp_path: Path) -> None:
    async def run() -> None:
        async with opened(tmp_path) as store:
            told: list[str] = []
            store.subscribe(lambda events: told.extend(event.key for event in events))
            async with held(store):
                works = [(put, "a"), (put_and_break, "b"), (put, "c")]
                waiting = [asyncio.create_task(store.write(work, key)) for work, key in works]
                await asyncio.sleep(0)
            first, broken, last = await asyncio.gather(*waiting, return_exceptions=True)
            assert (type(first), type(last)) == (int, int)
            assert isinstance(broken, Exception)
            assert (await store.read(kept), told) == (["a", "c"], ["a", "c"])

    asyncio.run(run())


def test_a_commit_that_fails_is_everybodys_outage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        async with opened(tmp_path) as store:
            async with held(store):
                waiting = [asyncio.create_task(store.write(put, key)) for key in "ab"]
                await asyncio.sleep(0)

                def away(_work: object) -> None:
                    raise StoreUnavailable

                monkeypatch.setattr(store.database, "write", away)
            answers = await asyncio.gather(*waiting, return_exceptions=True)
            assert [type(answer) for answer in answers] == [StoreUnavailable, StoreUnavailable]
            monkeypatch.undo()
            assert await store.read(kept) == []

    asyncio.run(run())


def test_who_is_cancelled_while_waiting_is_written_and_told_all_the_same(tmp_path: Path) -> None:
    async def run() -> None:
        async with opened(tmp_path) as store:
            told: list[str] = []
            store.subscribe(lambda events: told.extend(event.key for event in events))
            async with held(store):
                waiting = [asyncio.create_task(store.write(put, key)) for key in "ab"]
                await asyncio.sleep(0)
                waiting[0].cancel()
            await asyncio.gather(*waiting, return_exceptions=True)
            assert waiting[0].cancelled()
            assert (await store.read(kept), told) == (["a", "b"], ["a", "b"])

    asyncio.run(run())


def test_closing_finishes_what_was_submitted_and_takes_nothing_new(tmp_path: Path) -> None:
    async def run() -> None:
        store = AsyncSqliteStore(f"sqlite:///{tmp_path}/a.db")
        await store.open()
        async with held(store) as let_go:
            waiting = [asyncio.create_task(store.write(put, key)) for key in "abc"]
            await asyncio.sleep(0)
            closing = asyncio.create_task(store.close())
            await asyncio.sleep(0.01)
            with pytest.raises(StoreUnavailable):
                await store.write(put, "d")
            let_go()
            assert len(await asyncio.gather(*waiting)) == 3
            await closing
        async with opened(tmp_path) as again:
            assert await again.read(kept) == ["a", "b", "c"]

    asyncio.run(run())


@pytest.fixture
def commits(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The commits of every engine, as they happen."""
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    seen: list[str] = []

    def note(_connection: object) -> None:
        seen.append("COMMIT")

    event.listen(Engine, "commit", note)
    yield seen
    event.remove(Engine, "commit", note)
