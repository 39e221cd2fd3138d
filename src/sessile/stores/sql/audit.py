"""The audit log: events, and for each stream where its chain ends and where what is kept of it begins."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    String,
    bindparam,
    delete,
    desc,
    exists,
    func,
    insert,
    literal,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import Connection

from sessile.model.audit import SALT_BYTES, AuditEvent, AuditPlace, AuditStream, chained, micros
from sessile.stores.sql.dialects import put, upsert
from sessile.stores.sql.tables import audit_deliveries, audit_events, audit_streams

_INSERT: Final = insert(audit_events)
_HEAD: Final = select(audit_streams).where(audit_streams.c.stream == bindparam("of"))
_HEAD_LOCKED: Final = _HEAD.with_for_update(key_share=True)
_HEADS: Final = (
    select(audit_streams)
    .where(audit_streams.c.stream == func.any(bindparam("streams", type_=postgresql.ARRAY(String))))
    .order_by(audit_streams.c.stream)
    .with_for_update(key_share=True)
)
_PLACE: Final = (audit_events.c.at, audit_events.c.stream, audit_events.c.position)


class SqlAuditRows:
    """A part of the transaction: `connection` is its own."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def audit(self, events: Sequence[AuditEvent]) -> None:
        if not events:
            return
        chains = self._chains({event.stream for event in events})
        written: list[AuditEvent] = []
        for event in events:
            chain = chains[event.stream]
            link = chained(event, chain.position + 1, chain.hash, secrets.token_bytes(SALT_BYTES))
            chains[event.stream] = replace(chain, position=link.position, hash=link.hash)
            written.append(link)
        self._connection.execute(_INSERT, [_values(link) for link in written])
        self._put_chains([chains[stream] for stream in sorted(chains)])

    def _chains(self, streams: Collection[str]) -> dict[str, AuditStream]:
        """Locked in the order of their names; begun where there is none. Of two that begin one at once, the second waits and goes on behind the first."""
        found = self._locked(streams)
        missing = sorted(set(streams) - found.keys())
        if missing:
            new = [{"stream": s, "position": 0, "hash": b"", "base_position": 0, "base_hash": b""} for s in missing]
            self._connection.execute(upsert(self._connection, audit_streams).on_conflict_do_nothing(), new)
            found |= self._locked(missing)
        return found

    def _locked(self, streams: Collection[str]) -> dict[str, AuditStream]:
        if self._connection.dialect.name == "postgresql" and len(streams) > 1:
            rows = self._connection.execute(_HEADS, {"streams": sorted(streams)}).all()
        else:
            each = (self._connection.execute(_HEAD_LOCKED, {"of": stream}).one_or_none() for stream in sorted(streams))
            rows = [row for row in each if row is not None]
        return {row.stream: AuditStream(**row._asdict()) for row in rows}

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

    def audit_behind(self, place: AuditPlace | None, limit: int) -> list[AuditEvent]:
        statement = select(audit_events).order_by(*_PLACE).limit(limit)
        if place is not None:
            # The first condition says nothing new: it is what the index on the time understands.
            statement = statement.where(audit_events.c.at >= place.at, tuple_(*_PLACE) > tuple_(*_values_of(place)))
        return [AuditEvent(**row._asdict()) for row in self._connection.execute(statement)]

    def latest_audit(self, limit: int) -> list[AuditEvent]:
        statement = select(audit_events).order_by(*(desc(column) for column in _PLACE)).limit(limit)
        return [AuditEvent(**row._asdict()) for row in self._connection.execute(statement)][::-1]

    def audit_of_user(self, user_id: str, *, after: tuple[str, int] = ("", 0), limit: int) -> list[AuditEvent]:
        place = (audit_events.c.stream, audit_events.c.position)
        is_behind = tuple_(*place) > tuple_(literal(after[0]), literal(after[1], BigInteger))
        statement = select(audit_events).where(audit_events.c.user_id == user_id, is_behind)
        rows = self._connection.execute(statement.order_by(*place).limit(limit))
        return [AuditEvent(**row._asdict()) for row in rows]

    def erase_audit(self, stream: str, user_id: str | None = None) -> int:
        meant = [audit_events.c.stream == stream, audit_events.c.salt.is_not(None)]
        if user_id is not None:
            meant.append(audit_events.c.user_id == user_id)
        statement = update(audit_events).where(*meant).values(user_id=None, data={}, salt=None)
        return int(self._connection.execute(statement).rowcount)

    def unchained_audit(self, limit: int) -> list[str]:
        has_chain = exists().where(audit_streams.c.stream == audit_events.c.stream)
        statement = select(audit_events.c.stream).where(~has_chain).distinct().order_by(audit_events.c.stream)
        return list(self._connection.execute(statement.limit(limit)).scalars())

    def audit_chain(self, stream: str, *, lock: bool = False) -> AuditStream | None:
        row = self._connection.execute(_HEAD_LOCKED if lock else _HEAD, {"of": stream}).one_or_none()
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
        self._put_chains([chain])

    def close_audit(self, stream: str) -> None:
        self._connection.execute(delete(audit_streams).where(audit_streams.c.stream == stream))
        self._connection.execute(delete(audit_deliveries).where(audit_deliveries.c.stream == stream))

    def _put_chains(self, chains: Sequence[AuditStream]) -> None:
        values = [{column.name: getattr(chain, column.name) for column in audit_streams.columns} for chain in chains]
        self._connection.execute(put(self._connection, audit_streams, ("stream",)), values)


def _values_of(place: AuditPlace) -> tuple[Any, ...]:
    return literal(micros(place.at), BigInteger), place.stream, place.position


def _values(event: AuditEvent) -> dict[str, Any]:
    return {column.name: getattr(event, column.name) for column in audit_events.columns} | {"data": dict(event.data)}
