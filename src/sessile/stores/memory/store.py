"""Tables as dictionaries of immutable records. A transaction works on an overlay that is laid over them at its end, or thrown away."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any, TypeVar

from sessile.model.audit import AuditEvent, chained_hash
from sessile.model.document import Checkpoint, Conflict, Document, DocumentDevice, LoggedChange
from sessile.model.events import Event
from sessile.model.session import Principal, Session
from sessile.ports import Listener
from sessile.stores.memory.documents import MemoryDocumentRows
from sessile.stores.memory.sessions import MemorySessionRows
from sessile.stores.memory.table import Table

T = TypeVar("T")


class Tables:
    """The rows themselves; lives as long as the store."""

    def __init__(self) -> None:
        self.sessions: dict[str, Session] = {}
        self.principals: dict[str, Principal] = {}
        self.documents: dict[str, Document] = {}
        self.logs: dict[str, tuple[LoggedChange, ...]] = {}
        self.devices: dict[tuple[str, str], DocumentDevice] = {}
        self.conflicts: dict[str, Conflict] = {}
        self.checkpoints: dict[str, Checkpoint] = {}
        self.streams: dict[str, tuple[AuditEvent, ...]] = {}
        self.leases: dict[str, tuple[str, datetime]] = {}
        self.instance: dict[str, str] = {}


class MemoryTransaction:
    def __init__(self, tables: Tables) -> None:
        self._streams = Table(tables.streams)
        self._leases = Table(tables.leases)
        self._instance = Table(tables.instance)
        self.sessions = MemorySessionRows(Table(tables.sessions), Table(tables.principals))
        self.documents = MemoryDocumentRows(
            Table(tables.documents),
            Table(tables.logs),
            Table(tables.devices),
            Table(tables.conflicts),
            Table(tables.checkpoints),
        )
        self.events: list[Event] = []

    def audit(self, events: Sequence[AuditEvent]) -> None:
        for event in events:
            earlier = self._streams.get(event.stream) or ()
            position, previous = len(earlier) + 1, earlier[-1].hash if earlier else b""
            chained = replace(
                event, position=position, previous_hash=previous, hash=chained_hash(event, position, previous)
            )
            self._streams.put(event.stream, (*earlier, chained))

    def audit_stream(self, stream: str) -> list[AuditEvent]:
        return list(self._streams.get(stream) or ())

    def emit(self, event: Event) -> None:
        self.events.append(event)

    def lease(self, name: str, holder: str, now: datetime, until: datetime) -> bool:
        current = self._leases.get(name)
        if current is not None and current[0] != holder and current[1] > now:
            return False
        self._leases.put(name, (holder, until))
        return True

    def instance(self, key: str, value: str | None = None) -> str | None:
        if value is not None and self._instance.get(key) is None:
            self._instance.put(key, value)
        return self._instance.get(key)

    def commit(self) -> None:
        tables: list[Table[Any, Any]] = [self._streams, self._leases, self._instance]
        for table in (*tables, *self.sessions.tables, *self.documents.tables):
            table.commit()


class MemoryStore:
    """Both lanes: nothing here waits. Several stores can share `tables`, as several processes share a file."""

    def __init__(self, tables: Tables | None = None) -> None:
        self._tables = tables or Tables()
        self._lock = threading.RLock()
        self._listeners: list[Listener] = []

    async def open(self) -> None:
        """Nothing to prepare."""

    async def close(self) -> None:
        """Nothing to release."""

    async def write(self, work: Callable[..., T], *args: Any) -> T:
        with self._lock:
            tx = MemoryTransaction(self._tables)
            result = work(tx, *args)
            tx.commit()
        if tx.events:
            for listener in list(self._listeners):
                listener(tx.events)
        return result

    async def read(self, work: Callable[..., T], *args: Any) -> T:
        with self._lock:
            return work(MemoryTransaction(self._tables), *args)

    async def poll(self) -> None:
        """There is no other process."""

    async def tidy(self) -> None:
        """There are no hints to forget."""

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        self._listeners.append(listener)
        return partial(self._listeners.remove, listener)
