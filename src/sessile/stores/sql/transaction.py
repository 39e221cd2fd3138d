"""One unit of work on a connection: the rows, the audit chain, the events to tell after the commit."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import desc, insert, select
from sqlalchemy.dialects.sqlite import insert as upsert
from sqlalchemy.engine import Connection

from sessile.model.audit import AuditEvent, chained_hash
from sessile.model.events import Event
from sessile.stores.sql.documents import SqlDocumentRows
from sessile.stores.sql.platforms import SqlPlatformRows
from sessile.stores.sql.sessions import SqlSessionRows
from sessile.stores.sql.tables import audit_events, bus_events, instance, leases


class SqlTransaction:
    def __init__(self, connection: Connection, origin: str, at: datetime) -> None:
        self._connection = connection
        self._origin = origin
        self._at = at
        self.sessions = SqlSessionRows(connection)
        self.platforms = SqlPlatformRows(connection)
        self.documents = SqlDocumentRows(connection)
        self.events: list[Event] = []

    def audit(self, events: Sequence[AuditEvent]) -> None:
        for event in events:
            last = self._connection.execute(
                select(audit_events.c.position, audit_events.c.hash)
                .where(audit_events.c.stream == event.stream)
                .order_by(desc(audit_events.c.position))
                .limit(1)
            ).one_or_none()
            position, previous = (last.position + 1, last.hash) if last is not None else (1, b"")
            values = {column.name: getattr(event, column.name) for column in audit_events.columns}
            values |= {"position": position, "previous_hash": previous, "hash": chained_hash(event, position, previous)}
            self._connection.execute(insert(audit_events), {**values, "data": dict(event.data)})

    def audit_stream(self, stream: str) -> list[AuditEvent]:
        statement = select(audit_events).where(audit_events.c.stream == stream).order_by(audit_events.c.position)
        return [AuditEvent(**row._asdict()) for row in self._connection.execute(statement)]

    def recent_audit(self, stream: str, *, before: int | None, limit: int) -> list[AuditEvent]:
        statement = select(audit_events).where(audit_events.c.stream == stream)
        if before is not None:
            statement = statement.where(audit_events.c.position < before)
        rows = self._connection.execute(statement.order_by(desc(audit_events.c.position)).limit(limit))
        return [AuditEvent(**row._asdict()) for row in rows]

    def emit(self, event: Event) -> None:
        self.events.append(event)

    def write_events(self) -> None:
        """The hints for other processes, in the same transaction as what they tell of."""
        if not self.events:
            return
        self._connection.execute(
            insert(bus_events),
            [
                {
                    "kind": str(event.kind),
                    "key": event.key,
                    "version": event.version,
                    "detail": event.detail,
                    "epoch": event.epoch,
                    "origin": self._origin,
                    "at": self._at,
                }
                for event in self.events
            ],
        )

    def lease(self, name: str, holder: str, now: datetime, until: datetime) -> bool:
        statement = upsert(leases).values(name=name, holder=holder, until=until)
        result = self._connection.execute(
            statement.on_conflict_do_update(
                index_elements=["name"],
                set_={"holder": holder, "until": until},
                where=(leases.c.until <= now) | (leases.c.holder == holder),
            )
        )
        return bool(result.rowcount)

    def instance(self, key: str, value: str | None = None) -> str | None:
        if value is not None:
            self._connection.execute(upsert(instance).values(key=key, value=value).on_conflict_do_nothing())
        return self._connection.execute(select(instance.c.value).where(instance.c.key == key)).scalar_one_or_none()
