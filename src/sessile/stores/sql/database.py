"""One SQLite file: connections, durability, errors, migrations. Blocking; the asyncio lane runs it in threads of its own."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import URL, Connection, make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.pool import QueuePool

from sessile.model.errors import ConfigurationError, SessileError, StoreUnavailable
from sessile.model.health import PoolStatus
from sessile.stores.sql.migrate import upgrade
from sessile.stores.sql.waiters import Waiters

T = TypeVar("T")
_BUSY_TIMEOUT_MS: Final = 5000
_SWITCH_RETRY_S: Final = 0.01
_FULL: Final = 2
_OURS: Final = (sqlite3.IntegrityError, sqlite3.ProgrammingError)
"""Faults of the statement, not of the database: no retry will help."""


class SqliteDatabase:
    """WAL with `synchronous=FULL`: what is committed survives kill -9 and loss of power. Raises ConfigurationError, StoreUnavailable."""

    def __init__(self, url: str, *, pool_size: int, pool_timeout_s: float) -> None:
        self.url: URL = make_url(url)
        if self.url.get_backend_name() != "sqlite":
            raise ConfigurationError(
                f"SESSILE_DATABASE_URL: {self.url.get_backend_name()} is not supported by this version; use sqlite:///file"
            )
        if not self.url.database or self.url.database == ":memory:":
            raise ConfigurationError("SESSILE_DATABASE_URL: name a file; for nothing but memory there is memory://")
        self.path = Path(self.url.database)
        self._engine = self._make_engine(pool_size, pool_timeout_s)
        self._write_lock = threading.Lock()
        self._waiters = Waiters()

    def _make_engine(self, pool_size: int, pool_timeout_s: float) -> Engine:
        engine = create_engine(
            self.url,
            poolclass=QueuePool,
            pool_size=pool_size,
            max_overflow=0,
            hide_parameters=True,  # an error that gets into a log must not carry session data or token hashes
            pool_timeout=pool_timeout_s,
            connect_args={"check_same_thread": False},
        )
        event.listen(engine, "connect", _prepare)
        event.listen(engine, "begin", _begin)
        return engine

    def open(self) -> None:
        """Makes the file if need be, migrates it, and checks that a commit is durable."""
        if not self.path.parent.is_dir():
            raise ConfigurationError(f"SESSILE_DATABASE_URL: there is no folder {self.path.parent}")
        with self.errors():
            with self._engine.connect() as connection:
                self._check_durability(connection)
            with self._write_lock:
                upgrade(self._engine, self.path)

    def _check_durability(self, connection: Connection) -> None:
        driver: Any = connection.connection.driver_connection
        journal = driver.execute("PRAGMA journal_mode").fetchone()[0]
        synchronous = driver.execute("PRAGMA synchronous").fetchone()[0]
        if journal != "wal" or synchronous < _FULL:
            raise ConfigurationError(
                f"{self.path}: journal_mode is {journal} and synchronous is {synchronous}; "
                "an acknowledgement would not be durable. The file must be on a file system that supports WAL."
            )

    def close(self) -> None:
        self._engine.dispose()

    def pool(self) -> PoolStatus:
        pool = self._engine.pool
        assert isinstance(pool, QueuePool)
        return PoolStatus(pool.checkedin() + pool.checkedout(), pool.checkedout(), pool.size(), self._waiters.number)

    def write(self, work: Callable[[Connection], T]) -> T:
        """`work` in one transaction that holds SQLite's write lock from its beginning."""
        # The lock keeps the threads of this process in a fair queue; SQLite's own busy handler only polls.
        with self._write_lock, self.errors(), self._waiters.connect(self._engine) as connection:
            writing = connection.execution_options(sessile_write=True)
            with writing.begin():
                return work(writing)

    def read(self, work: Callable[[Connection], T]) -> T:
        with self.errors(), self._waiters.connect(self._engine) as connection:
            transaction = connection.begin()
            try:
                return work(connection)
            finally:
                transaction.rollback()  # a view leaves nothing behind, whatever `work` did

    @contextmanager
    def errors(self) -> Iterator[None]:
        """The only place where errors of the driver become ours."""
        try:
            yield
        except SessileError:
            raise
        except PoolTimeoutError as error:
            raise StoreUnavailable from error
        except (DBAPIError, sqlite3.DatabaseError) as error:
            fault = error.orig if isinstance(error, DBAPIError) else error
            if isinstance(fault, sqlite3.DatabaseError) and not isinstance(fault, _OURS):
                raise StoreUnavailable from error
            raise


def _prepare(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # BEGIN is ours: the driver's own would begin too late to lock
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={_BUSY_TIMEOUT_MS}")
    _use_wal(cursor)
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _use_wal(cursor: sqlite3.Cursor) -> None:
    """Turns the file to WAL, once in its life. SQLite's busy handler does not cover this switch, so of several processes that open a
    new file at once all but one would fail: they look again instead."""
    deadline = time.monotonic() + _BUSY_TIMEOUT_MS / 1000
    while True:
        try:
            if cursor.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
                cursor.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError:
            if time.monotonic() >= deadline:
                raise
        time.sleep(_SWITCH_RETRY_S)


def _begin(connection: Connection) -> None:
    writing = connection.get_execution_options().get("sessile_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")
