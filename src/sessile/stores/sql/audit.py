"""The audit log: events, and for each stream where its chain ends and where what is kept of it begins."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from sqlalchemy import delete, desc, insert, select
from sqlalchemy.engine import Connection

from sessile.model.audit import SALT_BYTES, AuditEvent, AuditStream, chained
from sessile.stores.sql.dialects import put, upsert
from sessile.stores.sql.tables import audit_events, audit_streams


class SqlAuditRows:
    """A part of the transaction: `connection` is its own."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def audit(self, events: Sequence[AuditEvent]) -> None:
        for event in events:
            chain = self.audit_chain(event.stream, lock=True) or self._begin_chain(event.stream)
            written = chained(event, chain.position + 1, chain.hash, secrets.token_bytes(SALT_BYTES))
            values = {column.name: getattr(written, column.name) for column in audit_events.columns}
            self._connection.execute(insert(audit_events), {**values, "data": dict(written.data)})
            self._put_chain(replace(chain, position=written.position, hash=written.hash))

    def audit_stream(self, stream: str, *, after: int = 0, limit: int | None = None) -> list[AuditEvent]:
        statement = (
            select(audit_events)
            .where(audit_events.c.stream == stream, audit_events.c.position > after)
            .order_by(audit_events.c.position)
            .limit(limit)
        )
        return [AuditEvent(**row._asdict()) for row in self._connection.execute(statement)]

    def recent_audit(self, stream: str, *, before: int | None, limit: int) -> list[AuditEvent]:
        statement = select(audit_events).where(audit_events.c.stream == stream)
        if before is not None:
            statement = statement.where(audit_events.c.position < before)
        rows = self._connection.execute(statement.order_by(desc(audit_events.c.position)).limit(limit))
        return [AuditEvent(**row._asdict()) for row in rows]

    def audit_streams(self, *, after: str = "", limit: int | None = None) -> list[AuditStream]:
        statement = select(audit_streams).where(audit_streams.c.stream > after).order_by(audit_streams.c.stream)
        return [AuditStream(**row._asdict()) for row in self._connection.execute(statement.limit(limit))]

    def audit_chain(self, stream: str, *, lock: bool = False) -> AuditStream | None:
        statement = select(audit_streams).where(audit_streams.c.stream == stream)
        row = self._connection.execute(statement.with_for_update() if lock else statement).one_or_none()
        return None if row is None else AuditStream(**row._asdict())

    def old_audit(self, before: datetime, limit: int) -> list[str]:
        statement = (
            select(audit_events.c.stream)
            .where(audit_events.c.at < before)
            .distinct()
            .order_by(audit_events.c.stream)
            .limit(limit)
        )
        return list(self._connection.execute(statement).scalars())

    def forget_audit(self, chain: AuditStream) -> None:
        self._connection.execute(
            delete(audit_events).where(
                audit_events.c.stream == chain.stream, audit_events.c.position <= chain.base_position
            )
        )
        self._put_chain(chain)

    def close_audit(self, stream: str) -> None:
        self._connection.execute(delete(audit_streams).where(audit_streams.c.stream == stream))

    def _begin_chain(self, stream: str) -> AuditStream:
        """Of two that begin it at once, the second waits here and goes on behind the first."""
        new = {"stream": stream, "position": 0, "hash": b"", "base_position": 0, "base_hash": b""}
        self._connection.execute(upsert(self._connection, audit_streams).values(new).on_conflict_do_nothing())
        begun = self.audit_chain(stream, lock=True)
        assert begun is not None, "it is there now, ours or another's"
        return begun

    def _put_chain(self, chain: AuditStream) -> None:
        values = {column.name: getattr(chain, column.name) for column in audit_streams.columns}
        self._connection.execute(put(self._connection, audit_streams, ("stream",)), values)
