"""One unit of work on a connection: the rows, the audit log, the events to tell after the commit."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import case, delete, select
from sqlalchemy.engine import Connection

from sessile.model.events import Event
from sessile.stores.sql.audit import SqlAuditRows
from sessile.stores.sql.batches import Held, SqlBatchRows
from sessile.stores.sql.console import SqlConsoleRows
from sessile.stores.sql.contents import SqlContentRows
from sessile.stores.sql.deliveries import SqlDeliveryRows
from sessile.stores.sql.dialects import upsert
from sessile.stores.sql.drivers import driver_of
from sessile.stores.sql.fence import SqlFenceRows
from sessile.stores.sql.handoffs import SqlHandoffRows
from sessile.stores.sql.legacy import SqlLegacyRows
from sessile.stores.sql.platforms import SqlPlatformRows
from sessile.stores.sql.postgres_batches import PostgresBatchRows
from sessile.stores.sql.presence import SqlPresenceRows
from sessile.stores.sql.sessions import SqlSessionRows
from sessile.stores.sql.sqlite_batches import SqliteBatchRows
from sessile.stores.sql.tables import instance, leases, rate_limits
from sessile.stores.sql.types import to_micros

_BATCHES: Final[dict[str, type[PostgresBatchRows | SqliteBatchRows]]] = {
    "postgresql": PostgresBatchRows,
    "sqlite": SqliteBatchRows,
}


_HINT: Final = "INSERT INTO bus_events (kind, key, version, detail, epoch, origin, at) VALUES (?, ?, ?, ?, ?, ?, ?)"
"""On SQLite only: PostgreSQL has NOTIFY."""


class SqlTransaction(SqlAuditRows):
    def __init__(self, connection: Connection, origin: str, at: datetime) -> None:
        super().__init__(connection)
        self._origin = origin
        self._at = at
        self.sessions = SqlSessionRows(connection)
        self.platforms = SqlPlatformRows(connection)
        self.documents: SqlBatchRows = _BATCHES[connection.dialect.name](connection)
        self.contents = SqlContentRows(connection, self.sessions, self.documents)
        self.handoffs = SqlHandoffRows(connection)
        self.legacy = SqlLegacyRows(connection)
        self.presence = SqlPresenceRows(connection)
        self.fence = SqlFenceRows(connection, at)
        self.deliveries = SqlDeliveryRows(connection)
        self.console = SqlConsoleRows(connection)
        self.events: list[Event] = []

    def hold(self, session_ids: Sequence[str], document_ids: Sequence[str], *, with_state: bool) -> Held:
        return self.documents.hold(session_ids, document_ids, with_state=with_state)

    def emit(self, event: Event) -> None:
        self.events.append(event)

    def write_events(self) -> None:
        """The hints for other processes, in the same transaction as what they tell of."""
        if not self.events:
            return
        at = to_micros(self._at)
        driver_of(self._connection).write(
            _HINT, [(str(e.kind), e.key, e.version, e.detail, e.epoch, self._origin, at) for e in self.events]
        )

    def lease(self, name: str, holder: str, now: datetime, until: datetime) -> bool:
        statement = upsert(self._connection, leases).values(name=name, holder=holder, until=until)
        statement = statement.on_conflict_do_update(
            index_elements=["name"],
            set_={"holder": holder, "until": until},
            where=(leases.c.until <= now) | (leases.c.holder == holder),
        )
        return self._connection.execute(statement.returning(leases.c.name)).first() is not None

    def instance(self, key: str, value: str | None = None) -> str | None:
        if value is not None:
            self._connection.execute(
                upsert(self._connection, instance).values(key=key, value=value).on_conflict_do_nothing()
            )
        return self._connection.execute(select(instance.c.value).where(instance.c.key == key)).scalar_one_or_none()

    def put_instance(self, key: str, value: str | None) -> None:
        if value is None:
            self._connection.execute(delete(instance).where(instance.c.key == key))
            return
        statement = upsert(self._connection, instance).values(key=key, value=value)
        self._connection.execute(statement.on_conflict_do_update(index_elements=["key"], set_={"value": value}))

    def count(self, key: str, now: datetime, window: timedelta) -> int:
        statement = upsert(self._connection, rate_limits).values(key=key, count=1, until=now + window)
        is_over = rate_limits.c.until <= now
        statement = statement.on_conflict_do_update(
            index_elements=["key"],
            set_={
                "count": case((is_over, 1), else_=rate_limits.c["count"] + 1),
                "until": case((is_over, statement.excluded.until), else_=rate_limits.c.until),
            },
        )
        self._connection.execute(statement)
        return self.counted(key, now)

    def counted(self, key: str, now: datetime) -> int:
        statement = select(rate_limits.c["count"]).where(rate_limits.c.key == key, rate_limits.c.until > now)
        return int(self._connection.execute(statement).scalar() or 0)

    def forget_counts(self, now: datetime, limit: int) -> int:
        over = select(rate_limits.c.key).where(rate_limits.c.until <= now).order_by(rate_limits.c.key).limit(limit)
        return int(self._connection.execute(delete(rate_limits).where(rate_limits.c.key.in_(over))).rowcount)
