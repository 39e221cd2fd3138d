"""Cannot look is not the same as not there: every way in which a SQLite file can fail is StoreUnavailable, and nothing is lost by it."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError

from sessile.model.errors import ConfigurationError, SessionNotFound, StoreUnavailable
from sessile.model.events import Event, EventKind
from sessile.model.session import EndReason
from sessile.runtime.lane import CoreSuspended, drive
from sessile.stores.sql import AsyncSqliteStore, BlockingSqliteStore, database
from sessile.testing import shows
from sessile.testing.fakes import FakeClock, SeededRandom
from sessile.testing.lab import ADA, Bench, put


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "sessile.db"


@pytest.fixture
def bench(path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    monkeypatch.setattr(database, "_BUSY_TIMEOUT_MS", 20)
    store = BlockingSqliteStore(f"sqlite:///{path}")
    drive(store.open())
    yield Bench(store, FakeClock(), SeededRandom())
    drive(store.close())


def sqlite_store(bench: Bench) -> BlockingSqliteStore:
    assert isinstance(bench.store, BlockingSqliteStore)
    return bench.store


def run_on_each_connection(bench: Bench, statement: str) -> None:
    """For faults that SQLite itself makes when it is told to: the errors are the real ones."""
    sql = sqlite_store(bench).database
    sql.close()
    event.listen(sql._engine, "connect", lambda connection, _record: connection.execute(statement).close())


def test_a_locked_file_cannot_be_written_and_can_be_read(bench: Bench, path: Path) -> None:
    issued = drive(bench.sessions.create("ada"))
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        for refused in (
            lambda: bench.sessions.rotate(issued.session.session_id),
            lambda: bench.sessions.create("eve"),
            lambda: bench.sessions.end(issued.session.session_id, EndReason.LOGOUT),
            lambda: bench.document(),
        ):
            with pytest.raises(StoreUnavailable) as caught:
                drive(refused())
            assert caught.value.retryable
        assert drive(bench.sessions.authenticate(issued.token)) == issued.session
        with pytest.raises(SessionNotFound):
            drive(bench.sessions.get("01900000-0000-7000-8000-000000000000"))
        other.execute("ROLLBACK")
    assert drive(bench.sessions.rotate(issued.session.session_id)).token != issued.token


def test_a_file_that_may_only_be_read_cannot_be_written(bench: Bench) -> None:
    issued = drive(bench.sessions.create("ada"))
    run_on_each_connection(bench, "PRAGMA query_only=ON")
    with pytest.raises(StoreUnavailable):
        drive(bench.sessions.rotate(issued.session.session_id))
    assert drive(bench.sessions.authenticate(issued.token)) == issued.session


def test_a_full_disk_refuses_the_change_and_keeps_what_was_there(bench: Bench, path: Path) -> None:
    document_id = drive(bench.document({"text": ""})).document.document_id
    drive(bench.take(ADA, document_id, 1, 0, put("/text", "kept")))
    pages = path.stat().st_size // 4096
    run_on_each_connection(bench, f"PRAGMA max_page_count={pages}")

    def fill() -> None:
        for seq in range(2, 50):
            drive(bench.take(ADA, document_id, seq, 1, put("/text", "x" * 60_000)))

    with pytest.raises(StoreUnavailable):
        fill()
    document = drive(bench.documents.get(ADA, document_id))
    assert document.version == len(drive(bench.documents.log(ADA, document_id, None, 100)))
    assert document.version >= 1


@shows("A12", "blocking")
@pytest.mark.parametrize("spoil", ["zeros", "noise", "cut"])
def test_a_corrupted_file_is_an_outage_and_not_an_empty_store(bench: Bench, path: Path, spoil: str) -> None:
    issued = drive(bench.sessions.create("ada"))
    drive(bench.store.close())
    content = path.read_bytes()
    assert len(content) > 50_000, "closing the last connection moves everything out of the log"
    path.write_bytes(
        {"zeros": b"\0" * len(content), "noise": b"no database " * 5000, "cut": content[: len(content) // 2]}[spoil]
    )
    with pytest.raises(StoreUnavailable):
        drive(bench.sessions.authenticate(issued.token))
    with pytest.raises(StoreUnavailable):
        drive(bench.sessions.create("ada"))
    drive(bench.store.close())
    fresh = BlockingSqliteStore(f"sqlite:///{path}")
    with pytest.raises(StoreUnavailable):
        drive(fresh.open())
    drive(fresh.close())


def test_a_folder_that_went_away_is_an_outage(bench: Bench, path: Path) -> None:
    issued = drive(bench.sessions.create("ada"))
    drive(bench.store.close())
    away = path.parent.with_name("away")
    path.parent.rename(away)
    with pytest.raises(StoreUnavailable):
        drive(bench.sessions.authenticate(issued.token))
    away.rename(path.parent)
    assert drive(bench.sessions.authenticate(issued.token)) == issued.session
    drive(bench.store.close())


def test_a_store_without_a_free_connection_says_so(bench: Bench) -> None:
    sql = sqlite_store(bench).database
    pool: Any = sql._engine.pool
    pool._timeout = 0.05
    held = [sql._engine.connect() for _ in range(8)]
    with pytest.raises(StoreUnavailable):
        drive(bench.sessions.get("01900000-0000-7000-8000-000000000000"))
    for connection in held:
        connection.close()
    with pytest.raises(SessionNotFound):
        drive(bench.sessions.get("01900000-0000-7000-8000-000000000000"))


def test_a_commit_that_fails_is_an_outage_and_tells_nobody(bench: Bench) -> None:
    document_id = drive(bench.document()).document.document_id
    bench.told.clear()
    fail = threading.Event()

    def commit(connection: Any) -> None:
        if fail.is_set():
            raise sqlite3.OperationalError("disk I/O error")

    event.listen(sqlite_store(bench).database._engine, "commit", commit)
    fail.set()
    with pytest.raises(StoreUnavailable):
        drive(bench.take(ADA, document_id, 1, 0, put("/a", 1)))
    fail.clear()
    assert bench.told == []
    assert drive(bench.take(ADA, document_id, 1, 0, put("/a", 1))).version == 1


def test_a_weaker_durability_is_refused_at_the_start(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare: Callable[[Any, Any], None] = database._prepare

    def weak(connection: Any, record: Any) -> None:
        prepare(connection, record)
        connection.execute("PRAGMA synchronous=NORMAL").close()

    monkeypatch.setattr(database, "_prepare", weak)
    store = BlockingSqliteStore(f"sqlite:///{path}")
    with pytest.raises(ConfigurationError, match="not be durable"):
        drive(store.open())
    drive(store.close())


class SwitchIsTaken:
    """A cursor to which the switch to WAL answers "locked" a few times, at once: SQLite does not wait there, whatever the timeout."""

    def __init__(self, times: int) -> None:
        self.times = times
        self.mode = "delete"

    def execute(self, statement: str) -> Any:
        if statement == "PRAGMA journal_mode=WAL":
            if self.times > 0:
                self.times -= 1
                raise sqlite3.OperationalError("database is locked")
            self.mode = "wal"
        return self

    def fetchone(self) -> tuple[str]:
        return (self.mode,)


def test_a_new_file_that_another_process_is_just_making_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    cursor: Any = SwitchIsTaken(3)
    database._use_wal(cursor)
    assert cursor.mode == "wal"
    monkeypatch.setattr(database, "_BUSY_TIMEOUT_MS", 20)
    with pytest.raises(sqlite3.OperationalError):
        database._use_wal(SwitchIsTaken(10_000))  # type: ignore[arg-type]


def test_every_connection_is_durable_and_keeps_its_foreign_keys(bench: Bench) -> None:
    def pragmas(number: int) -> list[Any]:
        with sqlite_store(bench).database._engine.connect() as connection:
            return [
                connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
                for name in ("journal_mode", "synchronous", "foreign_keys")
            ]

    assert [pragmas(number) for number in range(3)] == [["wal", 2, 1]] * 3


def test_an_error_shows_neither_data_nor_hashes(bench: Bench) -> None:
    issued = drive(bench.sessions.create("ada", data=b'{"secret":"swordfish"}'))

    def work(tx: Any) -> None:
        tx._connection.exec_driver_sql("INSERT INTO sessions (session_id, data) VALUES (?, ?)", ("x", "swordfish"))

    with pytest.raises(DBAPIError) as caught:
        drive(bench.store.write(work))
    assert "swordfish" not in str(caught.value)
    assert issued.token not in repr(issued)
    assert "swordfish" not in repr(issued)


# -- the asyncio lane ----------------------------------------------------------------------------------------------------------------


async def test_a_store_of_the_asyncio_lane_is_not_driven(path: Path) -> None:
    store = AsyncSqliteStore(f"sqlite:///{path}")
    with pytest.raises(CoreSuspended):
        drive(store.open())
    await store.close()


async def test_before_it_is_opened_and_after_it_is_closed_a_store_is_unavailable(path: Path) -> None:
    store = AsyncSqliteStore(f"sqlite:///{path}")
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            await store.read(lambda tx: tx.instance("key"))
        with pytest.raises(StoreUnavailable):
            await store.write(lambda tx: tx.instance("key", "value"))
        await store.open()
        await store.close()


async def test_a_store_that_cannot_be_opened_leaves_no_threads(path: Path) -> None:
    await asyncio.to_thread(path.write_bytes, b"no database " * 1000)
    others = set(threading.enumerate())  # of servers that tests before this one share
    store = AsyncSqliteStore(f"sqlite:///{path}")
    with pytest.raises(StoreUnavailable):
        await store.open()
    left = [t for t in threading.enumerate() if t.name.startswith("sessile-") and t not in others]
    for thread in left:
        await asyncio.to_thread(thread.join, 10)
    assert [thread.name for thread in left if thread.is_alive()] == []
    with pytest.raises(StoreUnavailable):
        await store.write(lambda tx: tx.instance("key", "value"))


async def test_the_transaction_of_a_cancelled_caller_is_committed_and_told(path: Path) -> None:
    store = AsyncSqliteStore(f"sqlite:///{path}")
    await store.open()
    bench = Bench(store, FakeClock(), SeededRandom())
    opened = await bench.document()
    started, go_on = threading.Event(), threading.Event()
    told = asyncio.Event()
    bench.told.clear()
    store.subscribe(lambda _events: told.set())

    def slow(tx: Any) -> None:
        started.set()
        assert go_on.wait(10)
        tx.instance("key", "committed")
        tx.emit(_event(opened.document.document_id))

    task = asyncio.create_task(store.write(slow))
    await asyncio.to_thread(started.wait, 10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    go_on.set()
    await asyncio.wait_for(told.wait(), 10)
    assert [e.key for e in bench.told] == [opened.document.document_id]
    assert await store.read(lambda tx: tx.instance("key")) == "committed"
    await store.close()


async def test_reads_go_on_while_a_write_is_under_way(path: Path) -> None:
    store = AsyncSqliteStore(f"sqlite:///{path}")
    await store.open()
    started, go_on = threading.Event(), threading.Event()

    def slow(tx: Any) -> None:
        tx.instance("key", "later")
        started.set()
        assert go_on.wait(10)

    task = asyncio.create_task(store.write(slow))
    await asyncio.to_thread(started.wait, 10)
    assert await store.read(lambda tx: tx.instance("key")) is None, "nothing is visible before the commit"
    go_on.set()
    await task
    assert await store.read(lambda tx: tx.instance("key")) == "later"
    await store.close()


def test_a_copied_file_is_a_whole_store(bench: Bench, path: Path, tmp_path: Path) -> None:
    issued = drive(bench.sessions.create("ada"))
    drive(bench.store.close())
    shutil.copy(path, tmp_path / "copy.db")
    assert not path.with_name("sessile.db-wal").exists()
    copy = BlockingSqliteStore(f"sqlite:///{tmp_path}/copy.db")
    drive(copy.open())
    there = Bench(copy, FakeClock(), SeededRandom())
    assert drive(there.sessions.authenticate(issued.token)) == issued.session
    drive(copy.close())


def _event(document_id: str) -> Any:
    return Event(EventKind.DOCUMENT_CHANGED, document_id, 1)


def test_news_of_a_kind_that_a_newer_release_knows_is_left_alone(path: Path) -> None:
    store = BlockingSqliteStore(f"sqlite:///{path}")
    told: list[Event] = []
    drive(store.open())
    store.subscribe(told.extend)
    with closing(sqlite3.connect(path)) as other, other:
        for kind in ("of_tomorrow", "session_ended"):
            other.execute(
                "INSERT INTO bus_events (kind, key, version, detail, epoch, origin, at) VALUES (?, 'k', 1, '', '', 'x', 0)",
                (kind,),
            )
    drive(store.poll())
    assert [event.kind for event in told] == [EventKind.SESSION_ENDED]
    drive(store.close())
