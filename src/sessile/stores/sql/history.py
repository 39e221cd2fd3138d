"""Where logs begin, and what can be forgotten of them."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import delete, exists, select

from sessile.model.document import LogBase
from sessile.stores.sql.checkpoints import SqlCheckpointRows
from sessile.stores.sql.dialects import put
from sessile.stores.sql.tables import changes, conflicts, documents, log_bases


class SqlHistoryRows(SqlCheckpointRows):
    def log_base(self, document_id: str) -> LogBase | None:
        statement = select(log_bases).where(log_bases.c.document_id == document_id)
        row = self._connection.execute(statement).one_or_none()
        return None if row is None else LogBase(**row._asdict())

    def put_log_base(self, base: LogBase) -> None:
        values = {column.name: getattr(base, column.name) for column in log_bases.columns}
        self._connection.execute(put(self._connection, log_bases, ("document_id",)), values)

    def delete_changes(self, document_id: str, up_to: int) -> None:
        self._connection.execute(
            delete(changes).where(changes.c.document_id == document_id, changes.c.version <= up_to)
        )

    def needing_compaction(self, versions_kept: int, before: datetime, limit: int) -> list[str]:
        first = log_bases.c.version + 1
        statement = (
            select(documents.c.document_id)
            .join(log_bases, log_bases.c.document_id == documents.c.document_id)
            .join(changes, (changes.c.document_id == documents.c.document_id) & (changes.c.version == first))
            .where(
                first <= documents.c.version - versions_kept,
                first <= documents.c.state_version,
                changes.c.created_at < before,
                ~exists().where(
                    conflicts.c.document_id == documents.c.document_id,
                    conflicts.c.status == "open",
                    conflicts.c.version <= first,
                ),
            )
            .order_by(documents.c.document_id)
            .limit(limit)
        )
        return list(self._connection.execute(statement).scalars())
