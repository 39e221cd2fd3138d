"""The SQLite store in both lanes. The blocking one runs `work` where it is called; the asyncio one in a thread of its own:
one writer, two readers. That costs one hop a transaction, not one a statement; calls that wait share one."""

from __future__ import annotations

import asyncio
import secrets
import sqlite3
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final, Generic, TypeVar, cast

from sqlalchemy import delete, func, select
from sqlalchemy.engine import Connection
from sqlalchemy.exc import SQLAlchemyError

from sessile.model.events import KNOWN_KINDS, Event, EventKind
from sessile.model.health import PoolStatus
from sessile.ports import CommitGuard, Listener, Transaction
from sessile.stores.sql.database import SqliteDatabase
from sessile.stores.sql.tables import bus_events
from sessile.stores.sql.together import Answer, Call, Together
from sessile.stores.sql.transaction import SqlTransaction

T = TypeVar("T")
_READERS: Final = 2
"""Threads of one interpreter take turns: more of them wait for each other."""
_READS_TOGETHER: Final = 64
_WRITES_TOGETHER: Final = 64
CONNECTIONS: Final = 8
POOL_TIMEOUT_S: Final = 5.0
_EVENTS_KEPT: Final = timedelta(seconds=60)
_POLL_LIMIT: Final = 1000


@dataclass(frozen=True, slots=True)
class Written(Generic[T]):
    """What a transaction gave, itself (for its events), and what the guard has to do for it."""

    result: T
    tx: SqlTransaction
    plan: Any


class _Spoiled(Exception):
    """Of several writes in one transaction, one met an error of the database: nobody's is kept."""


def _read_outcome(call: Call, tx: Transaction) -> Answer:
    """What one of several reads gave, or the error that it alone met. When the database itself fails, all of them fail."""
    try:
        return call.work(tx, *call.args), None
    except (SQLAlchemyError, sqlite3.Error):
        raise
    except Exception as error:  # noqa: BLE001 - goes to the one who asked
        return None, error


class _SqliteStore:
    """What both lanes share."""

    writes_at_once = False

    def __init__(self, url: str, *, pool_size: int = CONNECTIONS, pool_timeout_s: float = POOL_TIMEOUT_S) -> None:
        self.database = SqliteDatabase(url, pool_size=pool_size, pool_timeout_s=pool_timeout_s)
        self._origin = secrets.token_hex(8)
        self._listeners: list[Listener] = []
        self._last_event: int | None = None
        self._guard: CommitGuard | None = None

    def guard(self, guard: CommitGuard) -> None:
        self._guard = guard

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        self._listeners.append(listener)
        return partial(self._listeners.remove, listener)

    def _tell(self, events: Sequence[Event]) -> None:
        if events:
            for listener in list(self._listeners):
                listener(events)

    def _write_on(self, connection: Connection, work: Callable[..., T], args: Sequence[Any]) -> Written[T]:
        tx = SqlTransaction(connection, self._origin, datetime.now(UTC))
        result = work(tx, *args)
        tx.write_events()
        plan = None if self._guard is None else self._guard.plan(tx, tx.sessions.changes)
        return Written(result, tx, plan)

    def _mark(self, written: Sequence[Written[Any]], wait: Callable[[Coroutine[Any, Any, None]], None]) -> None:
        """Before the commit. `wait` runs the guard's coroutine to its end."""
        planned = [one for one in written if one.plan is not None]
        if self._guard is not None and planned:
            wait(self._guard.mark([one.plan for one in planned]))
            for one in planned:
                self._guard.within(one.tx, one.plan)

    async def _settle(self, written: Written[T]) -> T:
        if self._guard is not None and written.plan is not None:
            await self._guard.settle(written.plan)
        return written.result

    def _read(self, work: Callable[..., T], args: Sequence[Any]) -> T:
        def run(connection: Connection) -> T:
            tx: Transaction = SqlTransaction(connection, self._origin, datetime.now(UTC))
            return work(tx, *args)

        return self.database.read(run)

    def _events_since(self) -> list[Event]:
        """What other processes committed since the last look; sweeps old hints now and then."""

        def run(connection: Connection) -> list[Event]:
            if self._last_event is None:
                self._last_event = connection.execute(select(func.coalesce(func.max(bus_events.c.id), 0))).scalar_one()
                return []
            statement = (
                select(bus_events)
                .where(bus_events.c.id > self._last_event)
                .order_by(bus_events.c.id)
                .limit(_POLL_LIMIT)
            )
            rows = connection.execute(statement).all()
            if rows:
                self._last_event = rows[-1].id
            return [
                Event(EventKind(row.kind), row.key, row.version, row.detail, row.epoch)
                for row in rows
                if row.origin != self._origin and row.kind in KNOWN_KINDS
            ]

        return self.database.read(run)

    def _forget_events(self) -> None:
        before = datetime.now(UTC) - _EVENTS_KEPT

        def run(connection: Connection) -> None:
            connection.execute(delete(bus_events).where(bus_events.c.at < before))

        self.database.write(run)

    def pool(self) -> PoolStatus | None:
        return self.database.pool()


def _finish(coroutine: Coroutine[Any, Any, None]) -> None:
    """Runs what never suspends: the cache of the blocking lane answers where it is asked."""
    try:
        coroutine.send(None)
    except StopIteration:
        return
    coroutine.close()
    raise RuntimeError("The cache of a blocking store must not need an event loop.")


class BlockingSqliteStore(_SqliteStore):
    """Never suspends: for Flask, Django, the command line, and tests of the blocking lane."""

    async def open(self) -> None:
        try:
            self.database.open()
            self._events_since()
        except BaseException:
            self.database.close()
            raise

    async def close(self) -> None:
        self.database.close()

    async def write(self, work: Callable[..., T], *args: Any) -> T:
        def run(connection: Connection) -> Written[T]:
            written = self._write_on(connection, work, args)
            self._mark([written], _finish)
            return written

        written = self.database.write(run)
        self._tell(written.tx.events)
        return await self._settle(written)

    async def read(self, work: Callable[..., T], *args: Any) -> T:
        return self._read(work, args)

    async def transact(self, work: Callable[[Connection], T]) -> T:
        return self.database.write(work)

    async def poll(self) -> None:
        self._tell(self._events_since())

    async def tidy(self) -> None:
        """Forgets hints that everybody has seen."""
        self._forget_events()


class AsyncSqliteStore(_SqliteStore):
    """For ASGI: no statement ever runs on the event loop. Reads that wait share a transaction, and so do writes: with one commit, made durable
    once, for all of them. Each write has a savepoint, so what one of them refuses is undone for it alone."""

    def __init__(self, url: str, *, pool_size: int = CONNECTIONS, pool_timeout_s: float = POOL_TIMEOUT_S) -> None:
        super().__init__(url, pool_size=pool_size, pool_timeout_s=pool_timeout_s)
        self._writes = Together("writer", 1, _WRITES_TOGETHER, self._write_together, self._tell_of)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._reads = Together("reader", _READERS, _READS_TOGETHER, self._read_together)

    async def open(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._writes.open()
        self._reads.open()
        try:
            await self._writes.alone(self.database.open)
            await self._reads.alone(self._events_since)
        except BaseException:
            # Not `close`, which waits: an open that was cancelled, or driven without a loop, must not wait any more.
            self._writes.abandon()
            self._reads.abandon()
            self.database.close()
            raise

    async def close(self) -> None:
        await asyncio.gather(self._finish_writes(), self._reads.close())
        self.database.close()

    async def _finish_writes(self) -> None:
        await self._writes.finish()
        await self._writes.close()

    async def write(self, work: Callable[..., T], *args: Any) -> T:
        # The transaction runs to its end even when the request that asked for it is cancelled; what it committed is told either way.
        if self._guard is None:
            written = await asyncio.shield(self._writes.submit(work, args))
            return cast("Written[T]", written).result
        return await asyncio.shield(asyncio.ensure_future(self._write_and_settle(work, args)))

    async def _write_and_settle(self, work: Callable[..., T], args: Sequence[Any]) -> T:
        return await self._settle(await self._writes.submit(work, args))

    def _wait(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """In the writer's thread: what the loop has to do before the commit."""
        assert self._loop is not None, "it was opened on a loop"
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    def _write_together(self, batch: Sequence[Call]) -> list[Answer]:
        """Answers have a `Written`. An error that the commit itself meets is everybody's: the outcome is unknown."""
        if len(batch) > 1:
            try:
                return self.database.write(partial(self._with_savepoints, batch))
            except _Spoiled:
                pass  # each by itself, so that it is only the one that fails
        return [self._write_alone(call) for call in batch]

    def _write_alone(self, call: Call) -> Answer:
        try:
            return self.database.write(partial(self._write_marked, call)), None
        except Exception as error:  # noqa: BLE001 - goes to the one who asked
            return None, error

    def _write_marked(self, call: Call, connection: Connection) -> Written[Any]:
        written = self._write_on(connection, call.work, call.args)
        self._mark([written], self._wait)
        return written

    def _with_savepoints(self, batch: Sequence[Call], connection: Connection) -> list[Answer]:
        answers = [self._write_within(call, connection) for call in batch]
        self._mark([written for written, error in answers if error is None], self._wait)
        return answers

    def _write_within(self, call: Call, connection: Connection) -> Answer:
        savepoint = connection.begin_nested()
        try:
            written = self._write_on(connection, call.work, call.args)
        except (SQLAlchemyError, sqlite3.Error) as error:
            raise _Spoiled from error
        except Exception as error:  # noqa: BLE001 - goes to the one who asked
            savepoint.rollback()
            return None, error
        savepoint.commit()
        return written, None

    def _tell_of(self, answers: list[Answer]) -> list[Answer]:
        for written, error in answers:
            if error is None:
                self._tell(written.tx.events)
        return answers

    async def read(self, work: Callable[..., T], *args: Any) -> T:
        return cast("T", await self._reads.submit(work, args))

    def _read_together(self, batch: Sequence[Call]) -> list[Answer]:
        def run(tx: Transaction) -> list[Answer]:
            return [_read_outcome(call, tx) for call in batch]

        return self._read(run, ())

    async def transact(self, work: Callable[[Connection], T]) -> T:
        return cast("T", await asyncio.shield(asyncio.ensure_future(self._writes.alone(self.database.write, work))))

    async def poll(self) -> None:
        self._tell(await self._reads.alone(self._events_since))

    async def tidy(self) -> None:
        """Forgets hints that everybody has seen."""
        await self._writes.alone(self._forget_events)
