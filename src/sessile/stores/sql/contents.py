"""Records with content, kind by kind, in the order of their keys: what a re-encryption goes through."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Table, bindparam, select, tuple_, update
from sqlalchemy.engine import Connection

from sessile.model.content import ContentKind
from sessile.model.document import LogBase
from sessile.model.session import Principal
from sessile.stores.sql.batches import SqlBatchRows
from sessile.stores.sql.checkpoints import checkpoint_of
from sessile.stores.sql.documents import change_of, change_values
from sessile.stores.sql.records import conflict_from
from sessile.stores.sql.sessions import SqlSessionRows
from sessile.stores.sql.tables import changes, checkpoints, conflicts, documents, log_bases, principals, sessions

_TABLES: Final[dict[ContentKind, Table]] = {
    ContentKind.SESSION: sessions,
    ContentKind.PRINCIPAL: principals,
    ContentKind.DOCUMENT: documents,
    ContentKind.LOG_BASE: log_bases,
    ContentKind.CHANGE: changes,
    ContentKind.CONFLICT: conflicts,
    ContentKind.CHECKPOINT: checkpoints,
}
_OF_CHANGE: Final = ("operations", "operations_hash", "detail", "before", "conflicts", "resolved", "state_hash")
_CHANGE: Final = (
    update(changes)
    .where(changes.c.document_id == bindparam("of_document"), changes.c.version == bindparam("of_version"))
    .values({name: bindparam(f"new_{name}", type_=changes.c[name].type) for name in _OF_CHANGE})
)
_CHECKPOINT: Final = (
    update(checkpoints)
    .where(checkpoints.c.checkpoint_id == bindparam("of_checkpoint"))
    .values(state=bindparam("new_state", type_=checkpoints.c.state.type))
)


class SqlContentRows:
    def __init__(self, connection: Connection, sessions: SqlSessionRows, documents: SqlBatchRows) -> None:
        self._connection = connection
        self._sessions = sessions
        self._documents = documents

    def page(self, kind: ContentKind, after: Sequence[str], limit: int) -> list[Any]:
        rows = self._rows(kind, after, limit)
        match kind:
            case ContentKind.SESSION:
                return list(self._sessions.get_many([row[0] for row in rows], lock=True).values())
            case ContentKind.DOCUMENT:
                return list(self._documents.get_many([row[0] for row in rows], lock=True).values())
            case ContentKind.PRINCIPAL:
                return [Principal(r.user_id, r.public, tuple(r.roles), r.disabled_at, r.sessions_max) for r in rows]
            case ContentKind.LOG_BASE:
                return [LogBase(**row._asdict()) for row in rows]
            case ContentKind.CHANGE:
                return [change_of(row) for row in rows]
            case ContentKind.CONFLICT:
                return [conflict_from(row._asdict()) for row in rows]
            case ContentKind.CHECKPOINT:
                return [checkpoint_of(row) for row in rows]

    def _rows(self, kind: ContentKind, after: Sequence[str], limit: int) -> Sequence[Any]:
        table = _TABLES[kind]
        key = list(table.primary_key.columns)
        wanted = key if kind in {ContentKind.SESSION, ContentKind.DOCUMENT} else list(table.columns)
        statement = select(*wanted).order_by(*key).limit(limit).with_for_update(key_share=True)
        if after:
            values = [after[0]] if len(key) == 1 else [after[0], int(after[1])]
            statement = statement.where(tuple_(*key) > tuple_(*values) if len(key) > 1 else key[0] > values[0])
        return self._connection.execute(statement).all()

    def replace(self, kind: ContentKind, records: Sequence[Any]) -> None:
        if not records:
            return
        match kind:
            case ContentKind.SESSION:
                self._sessions.update_many(records)
            case ContentKind.PRINCIPAL:
                for principal in records:
                    self._sessions.put_principal(principal)
            case ContentKind.DOCUMENT:
                self._documents.update(records, with_state=[True] * len(records))
            case ContentKind.LOG_BASE:
                for base in records:
                    self._documents.put_log_base(base)
            case ContentKind.CONFLICT:
                self._documents.put_conflicts(records)
            case ContentKind.CHANGE:
                self._connection.execute(_CHANGE, [_of_change(change_values(record)) for record in records])
            case ContentKind.CHECKPOINT:
                values = [{"of_checkpoint": c.checkpoint_id, "new_state": c.state} for c in records]
                self._connection.execute(_CHECKPOINT, values)


def _of_change(values: dict[str, Any]) -> dict[str, Any]:
    key = {"of_document": values["document_id"], "of_version": values["version"]}
    return {**key, **{f"new_{name}": values[name] for name in _OF_CHANGE}}
