"""A batch of changes on SQLite: ids go in as one JSON array, rows are written by one prepared statement for each table."""

from __future__ import annotations

from collections.abc import Sequence

from sessile.model.batch import Progress
from sessile.model.document import DocumentDevice, LoggedChange
from sessile.stores.sql import records
from sessile.stores.sql.batches import HAS_CONFLICTS, LIFETIME, Held, SqlBatchRows, names
from sessile.stores.sql.tables import changes, document_devices, documents
from sessile.stores.sql.types import to_bytes

_AMONG = "IN (SELECT value FROM json_each(?))"
_LIFETIMES = f"SELECT {LIFETIME} FROM sessions WHERE session_id {_AMONG}"
_STATELESS = f"SELECT {names(documents, without='state')} FROM documents WHERE document_id {_AMONG}"
_INSERT = f"INSERT INTO changes ({names(changes)}) VALUES ({', '.join('?' * len(changes.columns))})"
_MOVE = (
    "UPDATE documents SET schema_version = ?2, version = ?3, generation = ?4, updated_at = ?5, last_activity_at = ?6,"
    " state_version = coalesce(?7, state_version), state = coalesce(?8, state) WHERE document_id = ?1"
)
_MARK = (
    "UPDATE document_devices SET last_seq = ?3, is_primary = ?4, session_id = ?5, last_active_at = ?6"
    " WHERE document_id = ?1 AND device_id = ?2"
)


class SqliteBatchRows(SqlBatchRows):
    """The transaction itself is the lock."""

    _by_id = _by_id_locked = f"SELECT {names(documents)} FROM documents WHERE document_id {_AMONG}"
    _devices = (
        f"SELECT {names(document_devices, 'd')}, {HAS_CONFLICTS} FROM document_devices d"
        f" WHERE d.document_id {_AMONG} ORDER BY d.document_id, d.device_no"
    )

    def hold(self, session_ids: Sequence[str], document_ids: Sequence[str], *, with_state: bool) -> Held:
        sessions = self._driver.fetch(_LIFETIMES, list(session_ids)) if session_ids else ()
        rows = self._driver.fetch(self._by_id if with_state else _STATELESS, list(document_ids))
        return {row[0]: records.lifetime(row) for row in sessions}, {row[0]: records.document(row) for row in rows}

    def _write(
        self, logged: Sequence[LoggedChange], progress: Sequence[Progress], marked: Sequence[DocumentDevice]
    ) -> None:
        self._driver.write(_INSERT, [records.change_row(change) for change in logged])
        self._driver.write(
            _MOVE,
            [(*records.moved(one), to_bytes(one.document.state) if one.with_state else None) for one in progress],
        )
        if marked:
            self._driver.write(_MARK, [records.mark(device) for device in marked])
