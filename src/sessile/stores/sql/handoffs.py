"""Hand-off rows."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Row, delete, or_, select
from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError

from sessile.model.errors import VersionConflict
from sessile.model.handoff import Handoff, HandoffStatus
from sessile.stores.sql.dialects import put
from sessile.stores.sql.tables import handoffs


class SqlHandoffRows:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self, handoff_id: str, *, lock: bool = False) -> Handoff | None:
        statement = select(handoffs).where(handoffs.c.handoff_id == handoff_id)
        row = self._connection.execute(statement.with_for_update() if lock else statement).one_or_none()
        return None if row is None else _handoff(row)

    def by_code(self, code_hash: bytes, *, lock: bool = False) -> Handoff | None:
        either = or_(handoffs.c.code_hash == code_hash, handoffs.c.secret_hash == code_hash)
        statement = select(handoffs).where(either)
        row = self._connection.execute(statement.with_for_update() if lock else statement).one_or_none()
        return None if row is None else _handoff(row)

    def of_session(self, session_id: str, *, lock: bool = False) -> list[Handoff]:
        statement = (
            select(handoffs)
            .where(handoffs.c.session_id == session_id)
            .order_by(handoffs.c.created_at, handoffs.c.handoff_id)
        )
        rows = self._connection.execute(statement.with_for_update() if lock else statement)
        return [_handoff(row) for row in rows]

    def put(self, handoff: Handoff) -> None:
        values = {column.name: getattr(handoff, column.name) for column in handoffs.columns}
        values |= {"status": str(handoff.status), "device": dict(handoff.device)}
        try:
            self._connection.execute(put(self._connection, handoffs, ("handoff_id",)), values)
        except IntegrityError as error:
            raise VersionConflict({}, "There is another hand-off with this code.") from error

    def delete_expired(self, before: datetime, limit: int) -> int:
        over = select(handoffs.c.handoff_id).where(handoffs.c.expires_at < before).order_by(handoffs.c.handoff_id)
        statement = delete(handoffs).where(handoffs.c.handoff_id.in_(over.limit(limit)))
        return int(self._connection.execute(statement).rowcount)

    def delete_of_user(self, user_id: str, limit: int) -> int:
        theirs = select(handoffs.c.handoff_id).where(handoffs.c.user_id == user_id).order_by(handoffs.c.handoff_id)
        statement = delete(handoffs).where(handoffs.c.handoff_id.in_(theirs.limit(limit)))
        return int(self._connection.execute(statement).rowcount)


def _handoff(row: Row[Any]) -> Handoff:
    values = row._asdict()
    return Handoff(**{**values, "status": HandoffStatus(values["status"])})
