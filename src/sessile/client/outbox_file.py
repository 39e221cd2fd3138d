"""The outbox's file: one SQLite database with an identity and the changes that are not acknowledged yet. Blocking; `outbox` runs it in
a thread of its own.

A change gets its number and its place in one transaction, and `synchronous=FULL` makes that survive a loss of power. Several
processes may share a file: they are one device, like several tabs of one browser.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from sessile.client.effects import Pending
from sessile.client.errors import OutboxUnavailable
from sessile.model.document import State
from sessile.model.errors import ConfigurationError

SCHEMA_VERSION: Final = 1
BUSY_TIMEOUT_S: Final = 5.0
_FULL: Final = 2
_SCHEMA: Final = """
CREATE TABLE identity (only_one INTEGER PRIMARY KEY CHECK (only_one = 1), device_id TEXT NOT NULL, owner TEXT) STRICT;
CREATE TABLE documents (
    name TEXT PRIMARY KEY, device_id TEXT NOT NULL, next_seq INTEGER NOT NULL, initial BLOB
) STRICT, WITHOUT ROWID;
CREATE TABLE changes (
    name TEXT NOT NULL, device_id TEXT NOT NULL, seq INTEGER NOT NULL, nonce TEXT NOT NULL UNIQUE,
    base_version INTEGER NOT NULL, generation INTEGER, operations BLOB NOT NULL,
    PRIMARY KEY (name, device_id, seq)
) STRICT;
"""
_COLUMNS: Final = "nonce, operations, base_version, generation, device_id, seq"


@dataclass(frozen=True, slots=True)
class Identity:
    """The device id of new changes, and whose changes these are: `user:<id>` or `session:<id>`, None before the first connection."""

    device_id: str
    owner: str | None


class OutboxFile:
    """`path` None keeps everything in memory. Raises OutboxUnavailable when the file cannot be used, ConfigurationError when it is not one
    of ours."""

    def __init__(self, path: Path | None, new_id: Callable[[], str]) -> None:
        self._new_id = new_id
        self._path = path
        with _errors():
            self._connection = self._open()
            self._prepare()

    def _open(self) -> sqlite3.Connection:
        if self._path is not None:
            # Other people's work is in here: only the owner of the process may read it, from the first byte on.
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))
        return sqlite3.connect(
            self._path or ":memory:", timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
        )

    def _prepare(self) -> None:
        run = self._connection.execute
        if self._path is not None:
            journal = run("PRAGMA journal_mode=WAL").fetchone()[0]
            run("PRAGMA synchronous=FULL")
            if journal != "wal" or run("PRAGMA synchronous").fetchone()[0] < _FULL:
                raise ConfigurationError(
                    f"{self._path}: journal_mode is {journal}; a stored change would not be durable"
                )
        with self._transaction():
            version = run("PRAGMA user_version").fetchone()[0]
            if version == 0:
                if run("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
                    raise ConfigurationError(f"{self._path} is a database, but not an outbox")
                for statement in _SCHEMA.split(";")[:-1]:
                    run(statement)
                run(f"PRAGMA user_version={SCHEMA_VERSION}")
                run("INSERT INTO identity VALUES (1, ?, NULL)", (self._new_id(),))
            elif version != SCHEMA_VERSION:
                raise ConfigurationError(
                    f"{self._path} was made by another version of Sessile (outbox format {version})"
                )

    @property
    def is_durable(self) -> bool:
        return self._path is not None

    def close(self) -> None:
        self._connection.close()

    def identity(self) -> Identity:
        row = self._one("SELECT device_id, owner FROM identity")
        assert row is not None, "written with the schema"
        return Identity(*row)

    def claim(self, owner: str) -> None:
        """Everything in here is this owner's from now on."""
        with self._transaction():
            self._connection.execute("UPDATE identity SET owner = ?", (owner,))

    def add(self, name: str, draft: Pending, initial: State | None) -> Pending:
        """The draft with its device and its seq, stored. The same nonce again gives what is stored under it."""
        with self._transaction():
            twin = self._one(f"SELECT {_COLUMNS} FROM changes WHERE nonce = ?", (draft.nonce,))  # noqa: S608 - a constant
            if twin is not None:
                return _pending(twin)
            device_id = self.identity().device_id
            seq = self._next_seq(name, device_id)
            self._put_document(name, device_id, seq + 1, initial)
            self._connection.execute(
                f"INSERT INTO changes ({_COLUMNS}, name) VALUES (?, ?, ?, ?, ?, ?, ?)",  # noqa: S608 - a constant
                (
                    draft.nonce,
                    msgspec.json.encode(draft.operations),
                    draft.base_version,
                    draft.generation,
                    device_id,
                    seq,
                    name,
                ),
            )
        return Pending(
            nonce=draft.nonce,
            operations=draft.operations,
            base_version=draft.base_version,
            generation=draft.generation,
            device_id=device_id,
            seq=seq,
        )

    def continue_after(self, name: str, device_id: str, last_seq: int) -> None:
        """The server has a verdict for `last_seq`: the numbering goes on behind it (this file may be an old copy)."""
        if self.identity().device_id != device_id or self._next_seq(name, device_id) > last_seq:
            return
        with self._transaction():
            if self.identity().device_id == device_id and self._next_seq(name, device_id) <= last_seq:
                self._put_document(name, device_id, last_seq + 1, None)

    def acknowledged(self, name: str) -> int:
        """The seq up to which everything of the present device is acknowledged."""
        device_id = self.identity().device_id
        row = self._one("SELECT min(seq) FROM changes WHERE name = ? AND device_id = ?", (name, device_id))
        first: int | None = row[0] if row is not None else None
        return (first if first is not None else self._next_seq(name, device_id)) - 1

    def entries(self, name: str) -> list[Pending]:
        """All changes of a document, in the order they were made."""
        return self._changes("WHERE name = ? ORDER BY rowid", (name,))

    def entries_after(self, name: str, device_id: str, after: int, limit: int) -> list[Pending]:
        """Changes of one device with a seq above `after`, in order."""
        return self._changes(
            "WHERE name = ? AND device_id = ? AND seq > ? ORDER BY seq LIMIT ?", (name, device_id, after, limit)
        )

    def waiting(self) -> list[tuple[str, State | None]]:
        """Documents that have something to send, with the state they were to begin with."""
        with _errors():
            rows = self._connection.execute(
                "SELECT name, initial FROM documents WHERE name IN (SELECT name FROM changes) ORDER BY name"
            ).fetchall()
        return [(name, None if initial is None else msgspec.json.decode(initial)) for name, initial in rows]

    def acknowledge(self, name: str, device_id: str, through: int) -> None:
        with self._transaction():
            self._connection.execute(
                "DELETE FROM changes WHERE name = ? AND device_id = ? AND seq <= ?", (name, device_id, through)
            )

    def renew(self, device_id: str) -> str:
        """A new device id in place of `device_id`; what is not acknowledged is numbered again under it. Returns the one that holds now:
        when another process was faster, nothing else happens."""
        with self._transaction():
            current = self.identity().device_id
            if current != device_id:
                return current
            renewed = self._new_id()
            rows = self._connection.execute("SELECT rowid, name FROM changes ORDER BY rowid").fetchall()
            following: dict[str, int] = {}
            for rowid, name in rows:
                seq = following.get(name, 1)
                following[name] = seq + 1
                self._connection.execute(
                    "UPDATE changes SET device_id = ?, seq = ? WHERE rowid = ?", (renewed, seq, rowid)
                )
            for name, seq in following.items():
                self._put_document(name, renewed, seq, None)
            self._connection.execute("UPDATE identity SET device_id = ?", (renewed,))
            return renewed

    # -- inside -----------------------------------------------------------------------------------------------------

    def _next_seq(self, name: str, device_id: str) -> int:
        row = self._one("SELECT next_seq FROM documents WHERE name = ? AND device_id = ?", (name, device_id))
        return row[0] if row is not None else 1

    def _put_document(self, name: str, device_id: str, next_seq: int, initial: State | None) -> None:
        self._connection.execute(
            "INSERT INTO documents VALUES (?, ?, ?, ?) ON CONFLICT (name) DO UPDATE SET device_id = excluded.device_id,"
            " next_seq = excluded.next_seq, initial = coalesce(excluded.initial, initial)",
            (name, device_id, next_seq, None if initial is None else msgspec.json.encode(initial)),
        )

    def _changes(self, condition: str, values: Sequence[Any]) -> list[Pending]:
        with _errors():
            rows = self._connection.execute(f"SELECT {_COLUMNS} FROM changes {condition}", values)  # noqa: S608 - constants
            return [_pending(row) for row in rows]

    def _one(self, statement: str, values: Sequence[Any] = ()) -> tuple[Any, ...] | None:
        with _errors():
            row: tuple[Any, ...] | None = self._connection.execute(statement, values).fetchone()
            return row

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with _errors():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise


def _pending(row: Sequence[Any]) -> Pending:
    nonce, operations, base_version, generation, device_id, seq = row
    return Pending(
        nonce=nonce,
        operations=msgspec.json.decode(operations),
        base_version=base_version,
        generation=generation,
        device_id=device_id,
        seq=seq,
    )


@contextmanager
def _errors() -> Iterator[None]:
    """The only place where errors of the file become ours."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise OutboxUnavailable(f"The outbox cannot be used: {error}") from error
