"""Tables as dictionaries of immutable records. A transaction works on an overlay that is laid over them at its end, or thrown away."""

from __future__ import annotations

import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final, TypeVar

from sessile.model.audit import SALT_BYTES, AuditEvent, AuditPlace, AuditStream, chained
from sessile.model.document import Checkpoint, Conflict, Document, DocumentDevice, LogBase, LoggedChange
from sessile.model.errors import ConfigurationError
from sessile.model.events import Event
from sessile.model.fence import Fence
from sessile.model.handoff import Handoff
from sessile.model.health import PoolStatus
from sessile.model.legacy import LegacyToken
from sessile.model.operator_access import OperatorCredential
from sessile.model.platform import Platform
from sessile.model.presence import PresenceKey, PresenceLease
from sessile.model.session import Lifetime, Principal, Session
from sessile.ports import CommitGuard, Listener
from sessile.stores.memory.console import MemoryConsoleRows
from sessile.stores.memory.contents import MemoryContentRows
from sessile.stores.memory.deliveries import MemoryDeliveryRows
from sessile.stores.memory.documents import MemoryDocumentRows
from sessile.stores.memory.fence import MemoryFenceRows
from sessile.stores.memory.handoffs import MemoryHandoffRows
from sessile.stores.memory.legacy import MemoryLegacyRows
from sessile.stores.memory.platforms import MemoryPlatformRows
from sessile.stores.memory.presence import MemoryPresenceRows
from sessile.stores.memory.sessions import MemorySessionRows
from sessile.stores.memory.table import Table
from sessile.stores.memory.turn import Turn

T = TypeVar("T")
_HINTS_KEPT: Final = 1000


class Tables:
    """The rows themselves; lives as long as the store."""

    def __init__(self) -> None:
        self.sessions: dict[str, Session] = {}
        self.principals: dict[str, Principal] = {}
        self.platforms: dict[str, Platform] = {}
        self.documents: dict[str, Document] = {}
        self.logs: dict[str, tuple[LoggedChange, ...]] = {}
        self.devices: dict[tuple[str, str], DocumentDevice] = {}
        self.conflicts: dict[str, Conflict] = {}
        self.checkpoints: dict[str, Checkpoint] = {}
        self.log_bases: dict[str, LogBase] = {}
        self.handoffs: dict[str, Handoff] = {}
        self.legacy: dict[bytes, LegacyToken] = {}
        self.presence: dict[PresenceKey, PresenceLease] = {}
        self.streams: dict[str, tuple[AuditEvent, ...]] = {}
        self.chains: dict[str, AuditStream] = {}
        self.deliveries: dict[tuple[str, str], int] = {}
        self.operator_credentials: dict[str, OperatorCredential] = {}
        self.counts: dict[str, tuple[int, datetime]] = {}
        self.leases: dict[str, tuple[str, datetime]] = {}
        self.instance: dict[str, str] = {}
        self.fence: dict[None, tuple[Fence, float]] = {None: (Fence(0, secrets.token_hex(6), None, is_open=False), 0.0)}
        """The row, and until when it is held."""
        self.seconds: Callable[[], float] = time.monotonic
        self.lock = threading.RLock()
        self.turn = Turn()
        self.hints: deque[tuple[int, object, Event]] = deque(maxlen=_HINTS_KEPT)
        """For the other stores on these tables: a number, who committed, and the event without what only its own process is told."""
        self.hinted = 0


class MemoryTransaction:
    def __init__(self, tables: Tables) -> None:
        self._streams = Table(tables.streams)
        self._chains = Table(tables.chains)
        self.deliveries = MemoryDeliveryRows(Table(tables.deliveries), self._streams, self._chains)
        self._counts = Table(tables.counts)
        self._leases = Table(tables.leases)
        self._instance = Table(tables.instance)
        self._fence = Table(tables.fence)
        self.fence = MemoryFenceRows(self._fence, tables.seconds)
        self.sessions = MemorySessionRows(Table(tables.sessions), Table(tables.principals))
        self.platforms = MemoryPlatformRows(Table(tables.platforms))
        self.handoffs = MemoryHandoffRows(Table(tables.handoffs))
        self.legacy = MemoryLegacyRows(Table(tables.legacy))
        self.presence = MemoryPresenceRows(Table(tables.presence))
        self.documents = MemoryDocumentRows(
            Table(tables.documents),
            Table(tables.logs),
            Table(tables.devices),
            Table(tables.conflicts),
            Table(tables.checkpoints),
            Table(tables.log_bases),
        )
        self.contents = MemoryContentRows(self.sessions, self.documents)
        self.console = MemoryConsoleRows(
            Table(tables.operator_credentials), self.sessions, self.presence, self._streams
        )
        self.events: list[Event] = []

    def hold(
        self, session_ids: Sequence[str], document_ids: Sequence[str], *, with_state: bool
    ) -> tuple[dict[str, Lifetime], dict[str, Document]]:
        lifetimes = {
            handle: Lifetime(s.idle_expires_at, s.absolute_expires_at, s.ended_at, s.end_reason)
            for handle, s in self.sessions.get_many(session_ids).items()
        }
        return lifetimes, self.documents.get_many(document_ids)

    def audit(self, events: Sequence[AuditEvent]) -> None:
        for event in events:
            chain = self._chains.get(event.stream) or AuditStream(event.stream, 0, b"")
            written = chained(event, chain.position + 1, chain.hash, secrets.token_bytes(SALT_BYTES))
            self._streams.put(event.stream, (*(self._streams.get(event.stream) or ()), written))
            self._chains.put(event.stream, replace(chain, position=written.position, hash=written.hash))

    def audit_stream(self, stream: str, *, after: int = 0, limit: int | None = None) -> list[AuditEvent]:
        found = [event for event in self._streams.get(stream) or () if event.position > after]
        return found if limit is None else found[:limit]

    def audit_streams(self, *, after: str = "", limit: int | None = None) -> list[AuditStream]:
        found = sorted((c for c in self._chains.rows() if c.stream > after), key=lambda chain: chain.stream)
        return found if limit is None else found[:limit]

    def audit_chain(self, stream: str, *, lock: bool = False) -> AuditStream | None:
        return self._chains.get(stream)

    def old_audit(self, before: datetime, limit: int) -> list[str]:
        return sorted(
            events[0].stream for events in self._streams.rows() if any(event.at < before for event in events)
        )[:limit]

    def forget_audit(self, chain: AuditStream) -> None:
        kept = tuple(e for e in self._streams.get(chain.stream) or () if e.position > chain.base_position)
        self._streams.put(chain.stream, kept)
        self._chains.put(chain.stream, chain)

    def close_audit(self, stream: str) -> None:
        self._streams.delete(stream)
        self._chains.delete(stream)
        self.deliveries.forget(stream)

    def recent_audit(self, stream: str, *, before: int | None, limit: int) -> list[AuditEvent]:
        found = [e for e in self._streams.get(stream) or () if before is None or e.position < before]
        return found[::-1][:limit]

    def audit_behind(self, place: AuditPlace | None, limit: int) -> list[AuditEvent]:
        found = sorted((e for events in self._streams.rows() for e in events), key=AuditPlace.of)
        return [event for event in found if place is None or AuditPlace.of(event) > place][:limit]

    def latest_audit(self, limit: int) -> list[AuditEvent]:
        found = sorted((e for events in self._streams.rows() for e in events), key=AuditPlace.of)
        return found[-limit:]

    def audit_of_user(self, user_id: str, *, after: tuple[str, int] = ("", 0), limit: int) -> list[AuditEvent]:
        theirs = [e for events in self._streams.rows() for e in events if e.user_id == user_id]
        return sorted((e for e in theirs if _standing(e) > after), key=_standing)[:limit]

    def erase_audit(self, stream: str, user_id: str | None = None) -> int:
        events = self._streams.get(stream) or ()
        meant = [e.salt is not None and user_id in (None, e.user_id) for e in events]
        if any(meant):
            erased = (
                replace(e, user_id=None, data={}, salt=None) if is_meant else e
                for e, is_meant in zip(events, meant, strict=True)
            )
            self._streams.put(stream, tuple(erased))
        return sum(meant)

    def unchained_audit(self, limit: int) -> list[str]:
        return sorted(s for s, events in self._streams.items() if events and self._chains.get(s) is None)[:limit]

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

    def put_instance(self, key: str, value: str | None) -> None:
        if value is None:
            self._instance.delete(key)
        else:
            self._instance.put(key, value)

    def count(self, key: str, now: datetime, window: timedelta) -> int:
        counted, until = self._counts.get(key) or (0, now)
        counted, until = (0, now + window) if until <= now else (counted, until)
        self._counts.put(key, (counted + 1, until))
        return counted + 1

    def counted(self, key: str, now: datetime) -> int:
        counted, until = self._counts.get(key) or (0, now)
        return counted if until > now else 0

    def forget_counts(self, now: datetime, limit: int) -> int:
        over = sorted(key for key, (_, until) in self._counts.items() if until <= now)[:limit]
        for key in over:
            self._counts.delete(key)
        return len(over)

    def commit(self) -> None:
        groups = (
            self.sessions,
            self.platforms,
            self.documents,
            self.handoffs,
            self.legacy,
            self.presence,
            self.deliveries,
            self.console,
        )
        own: list[Table[Any, Any]] = [
            self._streams,
            self._chains,
            self._counts,
            self._leases,
            self._instance,
            self._fence,
        ]
        for table in (*own, *(table for group in groups for table in group.tables)):
            table.commit()


def _standing(event: AuditEvent) -> tuple[str, int]:
    return event.stream, event.position


class MemoryStore:
    """Both lanes: nothing here waits. Several stores can share `tables`, as several processes share a file."""

    writes_at_once = False

    def __init__(self, tables: Tables | None = None) -> None:
        self._tables = tables or Tables()
        self._listeners: list[Listener] = []
        self._polled = self._tables.hinted
        self._guard: CommitGuard | None = None

    def beside(self) -> MemoryStore:
        """Another store on the same tables, as another process has one on the same file."""
        return MemoryStore(self._tables)

    def guard(self, guard: CommitGuard) -> None:
        self._guard = guard

    async def open(self) -> None:
        """Nothing to prepare; what was committed before is not told."""
        self._polled = self._tables.hinted

    async def close(self) -> None:
        """Nothing to release."""

    async def write(self, work: Callable[..., T], *args: Any) -> T:
        if self._guard is None:
            with self._tables.lock:
                tx = MemoryTransaction(self._tables)
                result = work(tx, *args)
                self._commit(tx)
            self._tell(tx.events)
            return result
        return await self._guarded(self._guard, work, args)

    async def _guarded(self, guard: CommitGuard, work: Callable[..., T], args: Sequence[Any]) -> T:
        """The lock of a thread cannot be held while others of the same loop run, so writers take turns by a lock that can."""
        async with self._tables.turn:
            tx = MemoryTransaction(self._tables)
            result = work(tx, *args)
            plan = guard.plan(tx, tx.sessions.changes)
            if plan is not None:
                await guard.mark([plan])
                guard.within(tx, plan)
            with self._tables.lock:
                self._commit(tx)
        self._tell(tx.events)
        if plan is not None:
            await guard.settle(plan)
        return result

    def _commit(self, tx: MemoryTransaction) -> None:
        tx.commit()
        for event in tx.events:
            self._tables.hinted += 1
            hint = Event(event.kind, event.key, event.version, event.detail, event.epoch)
            self._tables.hints.append((self._tables.hinted, self, hint))

    def _tell(self, events: Sequence[Event]) -> None:
        if events:
            for listener in list(self._listeners):
                listener(events)

    async def read(self, work: Callable[..., T], *args: Any) -> T:
        with self._tables.lock:
            return work(MemoryTransaction(self._tables), *args)

    async def transact(self, work: Callable[[Any], T]) -> T:
        raise ConfigurationError("The store in memory has no database. Name one in SESSILE_DATABASE_URL.")

    def pool(self) -> PoolStatus | None:
        return None

    async def poll(self) -> None:
        """Tells of what other stores on the same tables committed."""
        with self._tables.lock:
            news = [hint for number, origin, hint in self._tables.hints if number > self._polled and origin is not self]
            self._polled = self._tables.hinted
        self._tell(news)

    async def tidy(self) -> None:
        """The hints are bounded by their number."""

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        self._listeners.append(listener)
        return partial(self._listeners.remove, listener)
