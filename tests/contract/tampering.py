"""Rows of the audit log as somebody with the database in their hands can change them. No store lets that be done."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sqlalchemy import delete, insert
from sqlalchemy.engine import Connection

from sessile.model.audit import AuditEvent, AuditStream
from sessile.ports import Store
from sessile.stores.memory import MemoryStore
from sessile.stores.sql.store import _SqliteStore
from sessile.stores.sql.tables import audit_events, audit_streams

Change = Callable[[list[AuditEvent]], Sequence[AuditEvent]]


def rewrite(store: Store, stream: str, events: Sequence[AuditEvent]) -> None:
    """From now on these are the events of the stream, whatever they say. Its chain stays as it is."""
    if isinstance(store, MemoryStore):
        store._tables.streams[stream] = tuple(events)
        return

    def write(connection: Connection) -> None:
        connection.execute(delete(audit_events).where(audit_events.c.stream == stream))
        for event in events:
            connection.execute(
                insert(audit_events), {column.name: getattr(event, column.name) for column in audit_events.columns}
            )

    _sql(store).database.write(write)


def move_chain(store: Store, chain: AuditStream) -> None:
    """From now on the chain is said to be that."""
    drop_chain(store, chain.stream)
    if isinstance(store, MemoryStore):
        store._tables.chains[chain.stream] = chain
        return
    values = {column.name: getattr(chain, column.name) for column in audit_streams.columns}
    _sql(store).database.write(lambda connection: connection.execute(insert(audit_streams), values))


def drop_chain(store: Store, stream: str) -> None:
    """The stream's events stay, and nothing says that they were written."""
    if isinstance(store, MemoryStore):
        del store._tables.chains[stream]
        return
    statement = delete(audit_streams).where(audit_streams.c.stream == stream)
    _sql(store).database.write(lambda connection: connection.execute(statement))


def _sql(store: Store) -> _SqliteStore:
    assert isinstance(store, _SqliteStore)
    return store
