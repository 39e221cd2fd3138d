"""Presence rows. Those of a node are renewed by one statement, whatever their number."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Row, Select, and_, bindparam, delete, select, update
from sqlalchemy.engine import Connection

from sessile.model.presence import PresenceKey, PresenceLease
from sessile.stores.sql.dialects import put
from sessile.stores.sql.tables import presence

_KEY: Final = ("node_id", "session_id", "device_id", "document_id")
_ORDER: Final = tuple(presence.c[column] for column in _KEY)
_IS_KEY: Final = and_(*(presence.c[column] == bindparam(f"of_{column}") for column in _KEY))
_GET: Final = select(presence).where(_IS_KEY)
_REMOVE: Final = delete(presence).where(_IS_KEY)
_ADVANCE: Final = (
    update(presence)
    .where(_IS_KEY)
    .values(version=bindparam("new_version"), seen_at=bindparam("new_seen_at", type_=presence.c.seen_at.type))
)
_OF_DEVICE: Final = select(presence).where(
    presence.c.document_id == bindparam("of_document"), presence.c.device_id == bindparam("of_device")
)
_OF_SESSION: Final = select(presence).where(
    presence.c.session_id == bindparam("of_session"), presence.c.document_id == ""
)


class SqlPresenceRows:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def put(self, leases: Sequence[PresenceLease]) -> None:
        if leases:
            values = [{column.name: getattr(lease, column.name) for column in presence.columns} for lease in leases]
            self._connection.execute(put(self._connection, presence, _KEY), values)

    def renew(self, node_id: str, until: datetime) -> int:
        statement = update(presence).where(presence.c.node_id == node_id).values(lease_until=until)
        return int(self._connection.execute(statement).rowcount)

    def advance(self, leases: Sequence[PresenceLease]) -> None:
        if leases:
            values = [{**_of(e.key), "new_version": e.version, "new_seen_at": e.seen_at} for e in leases]
            self._connection.execute(_ADVANCE, values)

    def get_many(self, keys: Sequence[PresenceKey], *, lock: bool = False) -> list[PresenceLease]:
        statement = _GET.with_for_update() if lock else _GET
        found = (self._connection.execute(statement, _of(key)).one_or_none() for key in sorted(set(keys)))
        return [_lease(row) for row in found if row is not None]

    def remove(self, keys: Sequence[PresenceKey]) -> None:
        if keys:
            self._connection.execute(_REMOVE, [_of(key) for key in keys])

    def of_document(self, document_id: str, now: datetime | None = None) -> list[PresenceLease]:
        return self._standing(select(presence).where(presence.c.document_id == document_id), now)

    def of_device(self, document_id: str, device_id: str) -> list[PresenceLease]:
        return self._standing(_OF_DEVICE, None, {"of_document": document_id, "of_device": device_id})

    def of_sessions(self, session_ids: Sequence[str], now: datetime | None = None) -> list[PresenceLease]:
        # Each by the same statement: an IN of varying length would be compiled anew for each length.
        found = [
            lease
            for session_id in set(session_ids)
            for lease in self._standing(_OF_SESSION, now, {"of_session": session_id})
        ]
        return sorted(found, key=lambda lease: lease.key)

    def lapsed(self, now: datetime, limit: int) -> list[PresenceLease]:
        statement = select(presence).where(presence.c.lease_until <= now)
        statement = statement.order_by(presence.c.lease_until, *_ORDER).limit(limit)
        return [_lease(row) for row in self._connection.execute(statement)]

    def _standing(
        self, statement: Select[Any], now: datetime | None, values: dict[str, str] | None = None
    ) -> list[PresenceLease]:
        if now is not None:
            statement = statement.where(presence.c.lease_until > now)
        return [_lease(row) for row in self._connection.execute(statement.order_by(*_ORDER), values or {})]


def _of(key: PresenceKey) -> dict[str, str]:
    return {f"of_{column}": value for column, value in zip(_KEY, key, strict=True)}


def _lease(row: Row[Any]) -> PresenceLease:
    return PresenceLease(**row._asdict())
