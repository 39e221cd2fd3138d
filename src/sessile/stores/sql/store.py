"""The SQLite store in both lanes. The blocking one runs `work` where it is called; the asyncio one in a thread of its own:
one writer, two readers. That costs one hop a transaction, not one a statement; calls that wait share one."""

from __future__ import annotations

import asyncio
import secrets
import sqlite3
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final, TypeVar, cast

from sqlalchemy import delete, func, select
from sqlalchemy.engine import Connection
from sqlalchemy.exc import SQLAlchemyError

from sessile.model.events import KNOWN_KINDS, Event, EventKind
from sessile.model.health import PoolStatus
from sessile.ports import Listener, Transaction
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
        return self.database.write(lambda connection: self._write_on(connection, work, args))

    def _write_on(self, connection: Connection, work: Callable[..., T], args: Sequence[Any]) -> tuple[T, list[Event]]:
        tx = SqlTransaction(connection, self._origin, datetime.now(UTC))
        result = work(tx, *args)
        tx.write_events()
        return result, tx.events

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
    """For ASGI: no statement ever runs on the event loop. Reads that wait share a transaction, and so do writes: with one commit, made durable
    once, for all of them. Each write has a savepoint, so what one of them refuses is undone for it alone."""

    def __init__(self, url: str, *, pool_size: int = CONNECTIONS, pool_timeout_s: float = POOL_TIMEOUT_S) -> None:
        super().__init__(url, pool_size=pool_size, pool_timeout_s=pool_timeout_s)
        self._writes = Together("writer", 1, _WRITES_TOGETHER, self._write_together, self._tell_of)
        self._reads = Together("reader", _READERS, _READS_TOGETHER, self._read_together)

    async def open(self) -> None:
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
        return cast("T", await asyncio.shield(self._writes.submit(work, args)))

    def _write_together(self, batch: Sequence[Call]) -> list[Answer]:
        """Answers are (result, events) pairs. An error that the commit itself meets is everybody's: the outcome is unknown."""
        if len(batch) > 1:
            try:
                return self.database.write(partial(self._with_savepoints, batch))
            except _Spoiled:
                pass  # each by itself, so that it is only the one that fails
        return [self._write_alone(call) for call in batch]

    def _write_alone(self, call: Call) -> Answer:
        try:
            return self._write(call.work, call.args), None
        except Exception as error:  # noqa: BLE001 - goes to the one who asked
            return None, error

    def _with_savepoints(self, batch: Sequence[Call], connection: Connection) -> list[Answer]:
        return [self._write_within(call, connection) for call in batch]

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
        told: list[Answer] = []
        for written, error in answers:
            if error is None:
                self._tell(written[1])
                told.append((written[0], None))
            else:
                told.append((None, error))
        return told

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
