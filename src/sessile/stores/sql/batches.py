"""A batch of changes in few statements: one for each table that is read, and all that is written in one (on SQLite one for each table)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import BigInteger, Boolean, Column, Integer, LargeBinary, Table
from sqlalchemy.engine import Connection

from sessile.model.batch import Progress, Surroundings
from sessile.model.document import Conflict, Document, DocumentDevice, LoggedChange
from sessile.model.errors import VersionConflict
from sessile.stores.sql import records
from sessile.stores.sql.documents import SqlDocumentRows
from sessile.stores.sql.drivers import Driver, Taken, driver_of
from sessile.stores.sql.tables import changes, document_devices, documents


class SqlBatchRows(SqlDocumentRows, ABC):
    """What is read of many documents at once, and written for many at once."""

    _documents: str
    _devices: str
    """Devices of documents, and in a last column whether the document has open conflicts."""
    _locked: str

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self._made: Driver | None = None

    @property
    def _driver(self) -> Driver:
        if self._made is None:  # not every transaction has a batch
            self._made = driver_of(self._connection)
        return self._made

    def get_many(self, document_ids: Sequence[str], *, lock: bool = False) -> dict[str, Document]:
        if not document_ids:
            return {}
        rows = self._driver.fetch(self._locked if lock else self._documents, list(document_ids))
        return {row[0]: records.document(row) for row in rows}

    def surroundings(self, after: Mapping[str, int | None]) -> dict[str, Surroundings]:
        if not after:
            return {}
        devices: dict[str, list[DocumentDevice]] = {document_id: [] for document_id in after}
        quiet: set[str] = set()
        for row in self._driver.fetch(self._devices, list(after)):
            *values, has_conflicts = row
            devices[row[0]].append(records.device(values))
            if not has_conflicts:
                quiet.add(row[0])
        # Of a document without devices nothing is known yet: only server code has changed it.
        conflicts = {key: self.open_conflicts(key) for key in after if key not in quiet}
        nothing: list[Conflict] = []
        logs = self._logs({key: version for key, version in after.items() if version is not None})
        return {
            key: Surroundings(logs.get(key, []), devices[key], conflicts.get(key, nothing)) for key in after
        }

    def _logs(self, after: Mapping[str, int]) -> dict[str, list[LoggedChange]]:
        return {document_id: self.changes(document_id, after=version) for document_id, version in after.items()}

    def record(self, progress: Sequence[Progress]) -> None:
        logged = [change for one in progress for change in one.logged]
        try:
            self._write(
                [records.change_row(change) for change in logged],
                [records.progress_row(one.document, with_state=one.with_state) for one in progress],
                [records.mark_row(device) for one in progress for device in one.devices],
            )
        except Taken as error:
            versions = [change.version for change in logged]
            raise VersionConflict({"versions": versions}, "One of these changes is in the log already.") from error
        self.put_conflicts([conflict for one in progress for conflict in one.conflicts])

    @abstractmethod
    def _write(self, logged: Sequence[records.Row], moved: Sequence[records.Row], marks: Sequence[records.Row]) -> None:
        """Rows of `change_row`, `progress_row` and `mark_row`. Raises Taken."""


def _names(table: Table, alias: str = "") -> str:
    prefix = f"{alias}." if alias else ""
    return ", ".join(f"{prefix}{_quoted(column.name)}" for column in table.columns)


def _quoted(name: str) -> str:
    return f'"{name}"'


_HAS_CONFLICTS: Final = (
    "EXISTS (SELECT 1 FROM conflicts c WHERE c.document_id = d.document_id AND c.status = 'open')"
)


class SqliteBatchRows(SqlBatchRows):
    _documents = _locked = (
        f"SELECT {_names(documents)} FROM documents WHERE document_id IN (SELECT value FROM json_each(?))"
    )
    _devices = (
        f"SELECT {_names(document_devices, 'd')}, {_HAS_CONFLICTS} FROM document_devices d"
        " WHERE d.document_id IN (SELECT value FROM json_each(?)) ORDER BY d.document_id, d.device_no"
    )
    _insert = f"INSERT INTO changes ({_names(changes)}) VALUES ({', '.join('?' * len(changes.columns))})"
    _move = (
        "UPDATE documents SET schema_version = ?2, version = ?3, generation = ?4, updated_at = ?5, last_activity_at = ?6,"
        " state = coalesce(?7, state), state_version = coalesce(?8, state_version) WHERE document_id = ?1"
    )
    _mark = (
        "UPDATE document_devices SET last_seq = ?3, is_primary = ?4, session_id = ?5, last_active_at = ?6"
        " WHERE document_id = ?1 AND device_id = ?2"
    )

    def _write(self, logged: Sequence[records.Row], moved: Sequence[records.Row], marks: Sequence[records.Row]) -> None:
        self._driver.write(self._insert, logged)
        self._driver.write(self._move, moved)
        self._driver.write(self._mark, marks)


def _array(column: Column[Any]) -> str:
    """The type of an array of the column's values."""
    kind = getattr(column.type, "impl", column.type)
    names = {BigInteger: "bigint", Integer: "integer", Boolean: "boolean", LargeBinary: "bytea"}
    return next((name for python, name in names.items() if isinstance(kind, python)), "text") + "[]"


def _unnested(table: Table, columns: Sequence[str], first: int) -> str:
    arrays = (f"${first + index}::{_array(table.c[name])}" for index, name in enumerate(columns))
    return f"unnest({', '.join(arrays)})"


def _record_statement() -> str:
    """One statement for the three tables, so that a batch costs one round trip. It sees none of its own rows, and need not."""
    logged = [column.name for column in changes.columns]
    of_move, of_mark = len(logged) + 1, len(logged) + 1 + len(records.PROGRESS)
    return (
        f"WITH logged AS (INSERT INTO changes ({_names(changes)}) SELECT * FROM {_unnested(changes, logged, 1)}),"
        " marked AS (UPDATE document_devices d SET last_seq = m.last_seq, is_primary = m.is_primary, session_id = m.session_id,"
        f" last_active_at = m.last_active_at FROM {_unnested(document_devices, records.MARK, of_mark)} m({', '.join(records.MARK)})"
        " WHERE d.document_id = m.document_id AND d.device_id = m.device_id)"
        " UPDATE documents d SET schema_version = m.schema_version, version = m.version, generation = m.generation,"
        " updated_at = m.updated_at, last_activity_at = m.last_activity_at, state = coalesce(m.state, d.state),"
        " state_version = coalesce(m.state_version, d.state_version)"
        f" FROM {_unnested(documents, records.PROGRESS, of_move)} m({', '.join(records.PROGRESS)})"
        " WHERE d.document_id = m.document_id"
    )


class PostgresBatchRows(SqlBatchRows):
    _documents = f"SELECT {_names(documents)} FROM documents WHERE document_id = ANY($1::text[])"
    _locked = f"{_documents} ORDER BY document_id FOR NO KEY UPDATE"
    _devices = (
        f"SELECT {_names(document_devices, 'd')}, {_HAS_CONFLICTS} FROM document_devices d"
        " WHERE d.document_id = ANY($1::text[]) ORDER BY d.document_id, d.device_no"
    )
    _behind = (
        f"SELECT {_names(changes, 'c')} FROM unnest($1::text[], $2::bigint[]) AS w(document_id, after)"
        " JOIN changes c ON c.document_id = w.document_id AND c.version > w.after ORDER BY c.document_id, c.version"
    )
    _record = _record_statement()

    def _logs(self, after: Mapping[str, int]) -> dict[str, list[LoggedChange]]:
        logs: dict[str, list[LoggedChange]] = {}
        if after:
            for row in self._driver.fetch(self._behind, list(after), list(after.values())):
                logs.setdefault(row[0], []).append(records.change(row))
        return logs

    def _write(self, logged: Sequence[records.Row], moved: Sequence[records.Row], marks: Sequence[records.Row]) -> None:
        widths = (len(changes.columns), len(records.PROGRESS), len(records.MARK))
        arrays = [_columns(rows, width) for rows, width in zip((logged, moved, marks), widths, strict=True)]
        self._driver.fetch(self._record, *(array for group in arrays for array in group))


def _columns(rows: Sequence[records.Row], width: int) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in range(width)]


_ROWS: Final[dict[str, type[SqliteBatchRows | PostgresBatchRows]]] = {
    "sqlite": SqliteBatchRows,
    "postgresql": PostgresBatchRows,
}


def batch_rows(connection: Connection) -> SqlDocumentRows:
    return _ROWS[connection.dialect.name](connection)
