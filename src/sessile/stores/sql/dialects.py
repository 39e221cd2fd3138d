"""What the dialects spell differently: inserting a row or changing the one that is there, and locking what may have no row."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

from sqlalchemy import Table, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection

INSERTS: Final[dict[str, Any]] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}


def upsert(connection: Connection, table: Table) -> Any:
    """An INSERT that takes ON CONFLICT, in the connection's dialect."""
    return INSERTS[connection.dialect.name](table)


def put(connection: Connection, table: Table, keys: Sequence[str]) -> Any:
    """Inserts a row, or changes all columns of the one with the same keys. Made once for each table and dialect."""
    return _put(connection.dialect.name, table, tuple(keys))


@lru_cache(maxsize=64)
def _put(dialect: str, table: Table, keys: tuple[str, ...]) -> Any:
    statement = INSERTS[dialect](table)
    changed = {column.name: statement.excluded[column.name] for column in table.columns if column.name not in keys}
    return statement.on_conflict_do_update(index_elements=list(keys), set_=changed)


def lock_name(connection: Connection, name: str) -> None:
    """Holds a name until the end of the transaction, whether or not there is a row of it. SQLite has one writer at a time, so the transaction
    itself is the lock."""
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(name, 0))))
