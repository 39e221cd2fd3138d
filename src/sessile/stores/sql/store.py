"""The SQLite store in both lanes. The blocking one runs `work` where it is called; the asyncio one in a thread of its own:
one writer, two readers. That costs one hop a transaction, not one a statement; reads that wait share one."""

from __future__ import annotations

import asyncio
import secrets
import sqlite3
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final, TypeVar

from sqlalchemy import delete, func, select
from sqlalchemy.engine import Connection
from sqlalchemy.exc import SQLAlchemyError

from sessile.model.errors import StoreUnavailable
from sessile.model.events import Event, EventKind
from sessile.model.health import PoolStatus
from sessile.ports import Listener, Transaction
from sessile.stores.sql.database import SqliteDatabase
from sessile.stores.sql.tables import bus_events
from sessile.stores.sql.transaction import SqlTransaction

T = TypeVar("T")
_READERS: Final = 2
"""Threads of one interpreter take turns: more of them wait for each other."""
_READS_TOGETHER: Final = 64
CONNECTIONS: Final = 8
POOL_TIMEOUT_S: Final = 5.0
_EVENTS_KEPT: Final = timedelta(seconds=60)
_POLL_LIMIT: Final = 1000


@dataclass(frozen=True, slots=True)
class _Reading:
    """A read that waits for its turn."""

    work: Callable[..., Any]
    args: Sequence[Any]
    future: asyncio.Future[Any]


def _outcome(reading: _Reading, tx: Transaction) -> tuple[Any, Exception | None]:
    """What one of several reads gave, or the error that it alone met. When the database itself fails, all of them fail."""
    try:
        return reading.work(tx, *reading.args), None
    except (SQLAlchemyError, sqlite3.Error):
        raise
    except Exception as error:  # noqa: BLE001 - goes to the one who asked
        return None, error


def _fail(batch: Sequence[_Reading], error: BaseException) -> None:
    for reading in batch:
        if not reading.future.done():
            reading.future.set_exception(error)


class _SqliteStore:
    """What both lanes share."""

    def __init__(self, url: str, *, pool_size: int = CONNECTIONS, pool_timeout_s: float = POOL_TIMEOUT_S) -> None:
        self.database = SqliteDatabase(url, pool_size=pool_size, pool_timeout_s=pool_timeout_s)
        self._origin = secrets.token_hex(8)
        self._listeners: list[Listener] = []
        self._last_event: int | None = None

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        self._listeners.append(listener)
        return partial(self._listeners.remove, listener)

    def _tell(self, events: Sequence[Event]) -> None:
        if events:
            for listener in list(self._listeners):
                listener(events)

    def _write(self, work: Callable[..., T], args: Sequence[Any]) -> tuple[T, list[Event]]:
        def run(connection: Connection) -> tuple[T, list[Event]]:
            tx = SqlTransaction(connection, self._origin, datetime.now(UTC))
            result = work(tx, *args)
            tx.write_events()
            return result, tx.events

        return self.database.write(run)

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
                if row.origin != self._origin
            ]

        return self.database.read(run)

    def _forget_events(self) -> None:
        before = datetime.now(UTC) - _EVENTS_KEPT

        def run(connection: Connection) -> None:
            connection.execute(delete(bus_events).where(bus_events.c.at < before))

        self.database.write(run)

    def pool(self) -> PoolStatus | None:
        return self.database.pool()


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
        result, events = self._write(work, args)
        self._tell(events)
        return result

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
    """For ASGI: no statement ever runs on the event loop."""

    def __init__(self, url: str, *, pool_size: int = CONNECTIONS, pool_timeout_s: float = POOL_TIMEOUT_S) -> None:
        super().__init__(url, pool_size=pool_size, pool_timeout_s=pool_timeout_s)
        self._writer: ThreadPoolExecutor | None = None
        self._readers: ThreadPoolExecutor | None = None
        self._reads: deque[_Reading] = deque()
        self._reading = 0

    async def open(self) -> None:
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="sessile-writer")
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="sessile-reader")
        try:
            await self._run(self._writer, self.database.open)
            await self._run(self._readers, self._events_since)
        except BaseException:
            # Not `close`, which waits: an open that was cancelled, or driven without a loop, must not wait any more.
            for pool in (self._writer, self._readers):
                pool.shutdown(wait=False)
            self._writer = self._readers = None
            self.database.close()
            raise

    async def close(self) -> None:
        writer, readers, self._writer, self._readers = self._writer, self._readers, None, None
        for pool in (writer, readers):
            if pool is not None:
                await asyncio.to_thread(pool.shutdown)
        self.database.close()

    async def write(self, work: Callable[..., T], *args: Any) -> T:
        loop = asyncio.get_running_loop()
        future = loop.run_in_executor(self._pool(self._writer), self._write, work, args)
        # The transaction runs to its end even when the request that asked for it is cancelled; what it committed is told either way.
        future.add_done_callback(self._tell_outcome)
        return (await asyncio.shield(future))[0]

    def _tell_outcome(self, future: asyncio.Future[tuple[Any, list[Event]]]) -> None:
        if not future.cancelled() and future.exception() is None:
            self._tell(future.result()[1])

    async def read(self, work: Callable[..., T], *args: Any) -> T:
        self._pool(self._readers)
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._reads.append(_Reading(work, args, future))
        self._next_reads()
        return await future

    def _next_reads(self) -> None:
        """Reads that wait go together into the next transaction: the hop to a thread and back is what they cost, not the query."""
        while self._reads and (self._reading < _READERS or self._readers is None):
            batch = [self._reads.popleft() for _ in range(min(len(self._reads), _READS_TOGETHER))]
            if self._readers is None:
                _fail(batch, StoreUnavailable("The store is not open."))
                continue
            self._reading += 1
            done = asyncio.get_running_loop().run_in_executor(self._readers, self._read_together, batch)
            done.add_done_callback(partial(self._reads_done, batch))

    def _read_together(self, batch: Sequence[_Reading]) -> list[tuple[Any, Exception | None]]:
        def run(tx: Transaction) -> list[tuple[Any, Exception | None]]:
            return [_outcome(reading, tx) for reading in batch]

        return self._read(run, ())

    def _reads_done(self, batch: Sequence[_Reading], done: asyncio.Future[list[tuple[Any, Exception | None]]]) -> None:
        self._reading -= 1
        failure = StoreUnavailable() if done.cancelled() else done.exception()
        if failure is not None:
            _fail(batch, failure)
        else:
            for reading, (result, error) in zip(batch, done.result(), strict=True):
                if reading.future.done():
                    continue  # whoever asked has gone
                if error is not None:
                    reading.future.set_exception(error)
                else:
                    reading.future.set_result(result)
        self._next_reads()

    async def transact(self, work: Callable[[Connection], T]) -> T:
        return await asyncio.shield(self._run(self._writer, self.database.write, work))

    async def poll(self) -> None:
        self._tell(await self._run(self._readers, self._events_since))

    async def tidy(self) -> None:
        """Forgets hints that everybody has seen."""
        await self._run(self._writer, self._forget_events)

    @staticmethod
    def _pool(pool: ThreadPoolExecutor | None) -> ThreadPoolExecutor:
        if pool is None:
            raise StoreUnavailable("The store is not open.")
        return pool

    async def _run(self, pool: ThreadPoolExecutor | None, call: Callable[..., T], *args: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._pool(pool), partial(call, *args))
