"""How far the audit log was delivered: a row for each stream and sink."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from sqlalchemy import and_, func, literal_column, select
from sqlalchemy.engine import Connection

from sessile.stores.sql.dialects import put
from sessile.stores.sql.tables import audit_deliveries, audit_events, audit_streams

# Not a parameter: PostgreSQL would not see that what is grouped by is what is selected.
_DELIVERED: Final = func.coalesce(audit_deliveries.c.position, literal_column("0"))


class SqlDeliveryRows:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def pending(self, sink: str, since: datetime | None, limit: int) -> dict[str, int]:
        source = audit_streams if since is None else audit_events
        is_its = and_(audit_deliveries.c.stream == source.c.stream, audit_deliveries.c.sink == sink)
        statement = select(source.c.stream, _DELIVERED.label("delivered"))
        statement = statement.select_from(source.outerjoin(audit_deliveries, is_its))
        statement = statement.where(source.c.position > _DELIVERED).limit(limit)
        if since is None:
            # What retention has removed cannot be delivered any more.
            statement = statement.where(audit_streams.c.position > audit_streams.c.base_position)
            statement = statement.order_by(audit_streams.c.stream)
        else:
            statement = statement.where(audit_events.c.at >= since).group_by(audit_events.c.stream, _DELIVERED)
            statement = statement.order_by(func.min(audit_events.c.at), audit_events.c.stream)
        return {row.stream: row.delivered for row in self._connection.execute(statement)}

    def put(self, sink: str, positions: Mapping[str, int]) -> None:
        if positions:
            values = [{"stream": s, "sink": sink, "position": positions[s]} for s in sorted(positions)]
            self._connection.execute(put(self._connection, audit_deliveries, ("stream", "sink")), values)
