"""The driver below a connection of SQLAlchemy, in the same transaction: for the few statements of a batch.

What SQLAlchemy does around each statement costs as much as everything else in a batch of a few changes.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any, Protocol

import msgspec
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError, InterfaceError

from sessile.ports.watching import WATCH, StatementWatch

UNIQUE_VIOLATION = "23505"
Row = Sequence[Any]


class Taken(Exception):
    """A unique key of a row is there already."""


class Driver(Protocol):
    def fetch(self, statement: str, *values: Any) -> Sequence[Row]:
        """The rows of a statement, if it has any. A list among the values is an array (SQLite: its JSON). Raises Taken, and the errors of SQLAlchemy
        or of the driver that the store knows."""
        ...

    def write(self, statement: str, rows: Iterable[Row]) -> None:
        """The statement once for each row. Raises like `fetch`."""
        ...


class SqliteDriver:
    def __init__(self, connection: Connection) -> None:
        self._connection: Any = connection.connection.driver_connection

    def fetch(self, statement: str, *values: Any) -> Sequence[Row]:
        given = [msgspec.json.encode(value).decode() if isinstance(value, list) else value for value in values]
        found: list[Row] = self._connection.execute(statement, given).fetchall()
        return found

    def write(self, statement: str, rows: Iterable[Row]) -> None:
        import sqlite3

        try:
            self._connection.executemany(statement, rows)
        except sqlite3.IntegrityError as error:
            if error.sqlite_errorcode in {sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY}:
                raise Taken from error
            raise


class AsyncpgDriver:
    """The transaction is begun by the store: the adapter of SQLAlchemy would begin it with its own first statement only."""

    def __init__(self, connection: Connection) -> None:
        self._adapted: Any = connection.connection.dbapi_connection

    def fetch(self, statement: str, *values: Any) -> Sequence[Row]:
        try:
            found: Sequence[Row] = self._adapted.run_async(partial(_fetch, statement, values))
        except Exception as error:
            raise told(error) from error
        return found

    def write(self, statement: str, rows: Iterable[Row]) -> None:
        try:
            self._adapted.run_async(lambda raw: raw.executemany(statement, rows))
        except Exception as error:
            raise told(error) from error


def _fetch(statement: str, values: Sequence[Any], raw: Any) -> Any:
    return raw.fetch(statement, *values)


class PsycopgDriver:
    def __init__(self, connection: Connection) -> None:
        from psycopg import RawCursor

        raw: Any = connection.connection.driver_connection
        self._cursor = RawCursor(raw)  # takes $1, as the server does

    def fetch(self, statement: str, *values: Any) -> Sequence[Row]:
        try:
            done = self._cursor.execute(statement.encode(), values)
            return done.fetchall() if done.description is not None else ()
        except Exception as error:
            raise told(error) from error

    def write(self, statement: str, rows: Iterable[Row]) -> None:
        try:
            self._cursor.executemany(statement.encode(), rows)
        except Exception as error:
            raise told(error) from error


def told(error: Exception) -> Exception:
    """An error of asyncpg or psycopg as SQLAlchemy would tell it, without the values of the statement."""
    state = getattr(error, "sqlstate", None)
    if state == UNIQUE_VIOLATION:
        return Taken()
    if state is not None:
        return DBAPIError(None, None, error, hide_parameters=True)
    if isinstance(error, OSError | TimeoutError) or type(error).__module__.partition(".")[0] not in {
        "asyncpg",
        "psycopg",
    }:
        return error
    return InterfaceError(None, None, error, hide_parameters=True)


_DRIVERS: dict[str, type[SqliteDriver | AsyncpgDriver | PsycopgDriver]] = {
    "pysqlite": SqliteDriver,
    "asyncpg": AsyncpgDriver,
    "psycopg": PsycopgDriver,
}


class WatchedDriver:
    """Tells how long each statement took."""

    def __init__(self, driver: Driver, watch: StatementWatch) -> None:
        self._driver = driver
        self._watch = watch

    def fetch(self, statement: str, *values: Any) -> Sequence[Row]:
        began = time.perf_counter()
        found = self._driver.fetch(statement, *values)
        self._watch(statement, time.perf_counter() - began)
        return found

    def write(self, statement: str, rows: Iterable[Row]) -> None:
        began = time.perf_counter()
        self._driver.write(statement, rows)
        self._watch(statement, time.perf_counter() - began)


def driver_of(connection: Connection) -> Driver:
    """The one that the connection is made with."""
    driver = _DRIVERS[connection.dialect.driver](connection)
    watch = WATCH.get()
    return driver if watch is None else WatchedDriver(driver, watch)
