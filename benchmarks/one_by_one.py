"""How changes are usually kept: each in a transaction of its own, a compare-and-set on the row and a line in a log."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from sqlalchemy import BigInteger, Column, LargeBinary, MetaData, String, Table, bindparam, insert, update
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

SQLALCHEMY: Final = "SQLAlchemy and asyncpg, a transaction each"
AIOSQLITE: Final = "aiosqlite, a transaction each"
POOL_SIZE: Final = 32

Writers = Callable[[int], Awaitable[Sequence[Callable[[], Awaitable[None]]]]]

_metadata = MetaData()
_documents = Table(
    "documents",
    _metadata,
    Column("document_id", String(36), primary_key=True),
    Column("state", LargeBinary, nullable=False),
    Column("version", BigInteger, nullable=False),
)
_changes = Table(
    "changes",
    _metadata,
    Column("document_id", String(36), primary_key=True),
    Column("version", BigInteger, primary_key=True, autoincrement=False),
    Column("operations", LargeBinary, nullable=False),
)
_SET = (
    update(_documents)
    .where(_documents.c.document_id == bindparam("of_document"), _documents.c.version == bindparam("known"))
    .values(state=bindparam("new_state"), version=bindparam("known") + 1)
)
_LOG = insert(_changes)


class Row:
    """One document and its next change."""

    def __init__(self, state: Mapping[str, Any]) -> None:
        self.document_id = str(uuid.uuid4())
        self.version = 0
        self._state = dict(state)

    def next(self) -> tuple[bytes, bytes]:
        """State and operations of the next change, as JSON."""
        field = f"field{self.version % len(self._state)}"
        self._state[field] = f"what was typed, {self.version}"
        operations = [{"op": "set", "path": f"/{field}", "value": self._state[field]}]
        return json.dumps(self._state).encode(), json.dumps(operations).encode()


@asynccontextmanager
async def sqlalchemy_writers(url: str, state: Mapping[str, Any]) -> AsyncIterator[Writers]:
    """PostgreSQL by SQLAlchemy Core and asyncpg, from a pool of 32 connections."""
    engine = create_async_engine(url.replace("postgresql:", "postgresql+asyncpg:"), pool_size=POOL_SIZE, max_overflow=0)
    async with engine.begin() as connection:
        await connection.run_sync(_metadata.create_all)

    async def make(count: int) -> list[Callable[[], Awaitable[None]]]:
        rows = [Row(state) for _ in range(count)]
        async with engine.begin() as connection:
            values = [{"document_id": row.document_id, "state": b"{}", "version": 0} for row in rows]
            await connection.execute(insert(_documents), values)
        return [_sqlalchemy_writer(engine, row) for row in rows]

    try:
        yield make
    finally:
        await engine.dispose()


def _sqlalchemy_writer(engine: AsyncEngine, row: Row) -> Callable[[], Awaitable[None]]:
    async def write() -> None:
        state, operations = row.next()
        async with engine.begin() as connection:
            values = {"of_document": row.document_id, "known": row.version, "new_state": state}
            done = await connection.execute(_SET, values)
            if done.rowcount != 1:
                raise RuntimeError("somebody else changed it")
            line = {"document_id": row.document_id, "version": row.version + 1, "operations": operations}
            await connection.execute(_LOG, line)
        row.version += 1

    return write


@asynccontextmanager
async def aiosqlite_writers(path: Path, state: Mapping[str, Any]) -> AsyncIterator[Writers]:
    """A file by aiosqlite with `synchronous=FULL`. SQLite has one writer, so there is one connection, and who waits for it waits in order."""
    aiosqlite = import_module("aiosqlite")
    async with aiosqlite.connect(path, isolation_level=None) as connection:
        await connection.execute("PRAGMA journal_mode=WAL")
        await connection.execute("PRAGMA synchronous=FULL")
        await connection.execute("CREATE TABLE documents (document_id TEXT PRIMARY KEY, state BLOB, version INTEGER)")
        await connection.execute(
            "CREATE TABLE changes (document_id TEXT, version INTEGER, operations BLOB,"
            " PRIMARY KEY (document_id, version)) WITHOUT ROWID"
        )
        turn = asyncio.Lock()

        async def make(count: int) -> list[Callable[[], Awaitable[None]]]:
            rows = [Row(state) for _ in range(count)]
            for row in rows:
                await connection.execute("INSERT INTO documents VALUES (?, ?, 0)", (row.document_id, b"{}"))
            return [_aiosqlite_writer(connection, turn, row) for row in rows]

        yield make


def _aiosqlite_writer(connection: Any, turn: asyncio.Lock, row: Row) -> Callable[[], Awaitable[None]]:
    async def write() -> None:
        state, operations = row.next()
        async with turn:
            await connection.execute("BEGIN IMMEDIATE")
            done: sqlite3.Cursor = await connection.execute(
                "UPDATE documents SET state = ?, version = version + 1 WHERE document_id = ? AND version = ?",
                (state, row.document_id, row.version),
            )
            if done.rowcount != 1:
                raise RuntimeError("somebody else changed it")
            await connection.execute(
                "INSERT INTO changes VALUES (?, ?, ?)", (row.document_id, row.version + 1, operations)
            )
            await connection.execute("COMMIT")
        row.version += 1

    return write
