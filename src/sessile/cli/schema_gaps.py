"""Tables and columns that are missing: what can be made anew, and what cannot without doing harm."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Column, Table, insert, inspect
from sqlalchemy.engine import Connection
from sqlalchemy.schema import CreateColumn

from sessile.stores.sql.tables import cache_fence, metadata

_FREE: Final[Mapping[str, frozenset[str]]] = {
    "sessions": frozenset({"disconnected_at", "reconnected_at", "is_remembered", "authenticated_at"}),
    "document_devices": frozenset({"label", "seen_version", "disconnected_at", "reconnected_at"}),
    "checkpoints": frozenset({"step", "device_no"}),
}
"""Columns that may be empty without harm: nobody gets in, or stays in, who would not with their values. An empty `ended_at` would bring every ended session
back, an empty `disabled_at` everybody who was shut out."""
LOSSES: Final[Mapping[str, str]] = {
    "sessions": "everybody logs in again",
    "principals": "users who were shut out may log in again; roles and limits are gone",
    "documents": "all work is gone",
    "changes": "unwritten work and the history of documents are gone",
    "checkpoints": "nothing can be restored to an earlier checkpoint",
    "platforms": "nobody has a platform until the application tells them again",
    "audit_events": "the audit log is gone",
    "audit_streams": "the audit log cannot be verified",
    "instance": "keys that were kept here are gone: codes and bindings under way are refused, and encrypted work may be unreadable",
    "legacy_tokens": "sessions of another library are not recognised any more",
}
"""What is lost with a table, where it matters for longer than a moment."""


@dataclass(frozen=True, slots=True)
class Gaps:
    """`tables` and `columns` can be made, empty; `lost` are columns that cannot: only a copy brings them back."""

    tables: tuple[str, ...]
    columns: tuple[str, ...]
    lost: tuple[str, ...]

    @property
    def all(self) -> tuple[str, ...]:
        return (*self.tables, *self.columns, *self.lost)


def find_gaps(connection: Connection) -> Gaps:
    """What should be there and is not."""
    seen = inspect(connection)
    names = set(seen.get_table_names())
    missing = tuple(str(table.name) for table in metadata.sorted_tables if table.name not in names)
    columns: list[str] = []
    lost: list[str] = []
    for table in metadata.sorted_tables:
        if table.name in names:
            present = {column["name"] for column in seen.get_columns(table.name)}
            for column in _plain(table):
                if column.name not in present:
                    is_free = column.name in _FREE.get(table.name, ())
                    (columns if is_free else lost).append(f"{table.name}.{column.name}")
    return Gaps(missing, tuple(columns), tuple(lost))


def fill(connection: Connection, gaps: Gaps) -> None:
    """Makes tables and columns, empty, with the indexes and references that went with them."""
    metadata.create_all(connection, checkfirst=True)
    for name in gaps.columns:
        table, _, column = name.partition(".")
        specified = CreateColumn(metadata.tables[table].columns[column]).compile(dialect=connection.dialect)
        connection.exec_driver_sql(f"ALTER TABLE {table} ADD COLUMN {specified}")
    for table_ in metadata.sorted_tables:
        for index in table_.indexes:
            index.create(connection, checkfirst=True)
    if cache_fence.name in gaps.tables:
        row = {"id": 1, "number": 0, "nonce": secrets.token_hex(6), "is_open": False}
        connection.execute(insert(cache_fence), row)
    if connection.dialect.name == "postgresql":
        _refer(connection, gaps.tables)


def _refer(connection: Connection, made: Iterable[str]) -> None:
    """PostgreSQL drops references with the table that they lead to. Rows that are there are not checked: what they led to is gone."""
    seen = inspect(connection)
    for table in metadata.sorted_tables:
        present = {tuple(one["constrained_columns"]) for one in seen.get_foreign_keys(table.name)}
        for key in table.foreign_key_constraints:
            if key.referred_table.name in made and tuple(key.column_keys) not in present:
                name = connection.dialect.identifier_preparer.format_constraint(key)
                target = ", ".join(element.column.name for element in key.elements)
                connection.exec_driver_sql(
                    f"ALTER TABLE {table.name} ADD CONSTRAINT {name} FOREIGN KEY ({', '.join(key.column_keys)}) "
                    f"REFERENCES {key.referred_table.name} ({target}) ON DELETE {key.ondelete} NOT VALID"
                )


def _plain(table: Table) -> list[Column[object]]:
    """Without those that the database computes."""
    return [column for column in table.columns if column.computed is None]
