"""Everything that is connected to this process: sockets by session, documents with their readers, and the events that reach them."""

from __future__ import annotations

import asyncio
import logging
import random
from collections import Counter, OrderedDict
from collections.abc import Callable, Coroutine, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from sessile.engine.presence import described
from sessile.model.canonical import state_hash
from sessile.model.document import Document, Outcome, Submission
from sessile.model.errors import SessileError
from sessile.model.events import REFRESH, RELOAD, Event, EventKind
from sessile.model.presence import DeviceReport, Elsewhere
from sessile.model.session import Session
from sessile.runtime.manager import AsyncSessionManager
from sessile.server.realtime import messages
from sessile.server.realtime.channel import Channel
from sessile.server.realtime.codes import CloseCode
from sessile.server.realtime.leases import Leases
from sessile.server.realtime.maintenance import MaintenanceWatch
from sessile.server.realtime.outbox import STALL_TIMEOUT_S
from sessile.server.realtime.places import Places
from sessile.server.realtime.round_trips import RoundTrips
from sessile.server.realtime.terms import Terms
from sessile.server.realtime.wire import Flusher

if TYPE_CHECKING:
    from sessile.server.realtime.connection import Connection

_log = logging.getLogger("sessile.server")

UNPROVEN_PER_ADDRESS_MAX: Final = 64
"""Sockets of one address that have neither cookie nor accepted token yet."""
GOAWAY_SPREAD_MS: Final = 2000
"""Clients of a server that goes away come back spread over this time."""
_ENDED_REMEMBERED: Final = 4096
_LOOK_AGAIN_S: Final = 0.1
_HASHES_KEPT: Final = 256


class Hub:
    """One per process and manager. Starts to listen with the first socket; `drain` ends it."""

    def __init__(self, manager: AsyncSessionManager, *, stall_timeout_s: float = STALL_TIMEOUT_S) -> None:
        self.manager = manager
        self.documents = manager.documents
        self.settings = manager.settings
        self.leave_after_s = manager.settings.presence_linger_s
        self.leases = Leases(
            manager.presence,
            now=self.now,
            lease_s=manager.settings.presence_lease_s,
            linger_s=manager.settings.presence_linger_s,
        )
        self.stall_timeout_s = stall_timeout_s
        self.flusher = Flusher()
        self.draining = False
        self.jitter = random.Random()  # noqa: S311 - spreads pings over time, guards nothing
        self.connections: set[Connection] = set()
        self._by_session: dict[str, set[Connection]] = {}
        self.maintenance = MaintenanceWatch(self)
        self._terms = Terms()
        self._channels: dict[str, Channel] = {}
        self._unproven: Counter[str] = Counter()
        self.by_user = Places(manager.settings.sockets_per_user_max)
        self.by_address = Places(manager.settings.sockets_per_address_max)
        self.round_trips = RoundTrips()
        self.joined = self.left = 0
        """Sockets with a session that came and went, since the start."""
        manager.settings.subscribe(lambda _change: self._follow_settings())
        self._ended: OrderedDict[str, str] = OrderedDict()
        self._hashes: OrderedDict[tuple[str, str, int], str] = OrderedDict()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._unsubscribe: Callable[[], None] | None = None
        self._looking_again: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Listens to the manager's events. Must come before a socket's credential is looked at: an end in between is not missed then."""
        if self._unsubscribe is None:
            self._unsubscribe = self.manager.subscribe(self._on_events)
            self.maintenance.look()

    def _follow_settings(self) -> None:
        self.by_user.most = self.settings.sockets_per_user_max
        self.by_address.most = self.settings.sockets_per_address_max

    def now(self) -> datetime:
        return self.manager.clock.now()

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Runs on its own; a fault is logged, never lost."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def submit(self, submission: Submission) -> asyncio.Task[Outcome]:
        """Starts a submission and keeps hold of it until it is decided, whatever becomes of the socket it came from."""
        task = asyncio.get_running_loop().create_task(self.documents.submit(submission))
        self._tasks.add(task)
        task.add_done_callback(self._finished)
        return task

    def state_hash(self, document: Document) -> str:
        """The state's hash, remembered: many readers open the same state."""
        key = (document.document_id, document.epoch, document.version)
        known = self._hashes.get(key)
        if known is None:
            known = self._hashes[key] = state_hash(document.state)
            if len(self._hashes) > _HASHES_KEPT:
                self._hashes.popitem(last=False)
        return known

    def channel(self, document_id: str) -> Channel:
        """The channel of a document, made when needed; `release` it when a reader leaves."""
        channel = self._channels.get(document_id)
        if channel is None:
            channel = self._channels[document_id] = Channel(self, document_id)
        return channel

    def release(self, channel: Channel) -> None:
        if not channel.subscriptions and self._channels.get(channel.document_id) is channel:
            channel.close()
            del self._channels[channel.document_id]

    def reserve_unproven(self, address: str) -> bool:
        """A place for a socket that has not shown a credential yet. False: this address has too many."""
        if self._unproven[address] >= UNPROVEN_PER_ADDRESS_MAX:
            return False
        self._unproven[address] += 1
        return True

    def free_unproven(self, address: str) -> None:
        self._unproven[address] -= 1
        if self._unproven[address] <= 0:
            del self._unproven[address]

    def identified(self) -> list[Connection]:
        """Every socket of which is known whose it is."""
        return [connection for siblings in self._by_session.values() for connection in siblings]

    def join(self, connection: Connection, session_id: str) -> str | None:
        """Registers a socket under its session. Returns the reason when that session has ended since its credential was looked at."""
        self.joined += 1
        self._by_session.setdefault(session_id, set()).add(connection)
        return self._ended.get(session_id)

    def fence(self, connection: Connection) -> bool:
        """One socket for one browser: of those that its tabs have opened with a term, the one with the highest stays, and of two with the same the
        newer; a term below one that was here within a minute is refused though its socket has gone. False when `connection` is not the one. Of this
        process only; elsewhere the changes' numbers see to it that nothing counts twice."""
        term, session_id, device_id = connection.term, connection.session.session_id, connection.device_id
        if term is None or device_id is None:
            return True
        is_latest = not self._terms.is_past(session_id, device_id, term, self.now())
        if not is_latest:
            connection.close(CloseCode.REPLACED)
        self._terms.note(session_id, device_id, term, self.now())
        for other in tuple(self._by_session.get(session_id, ())):
            if other is connection or other.term is None or other.device_id != device_id:
                continue
            if other.term > term:
                is_latest = False
                connection.close(CloseCode.REPLACED)
            else:
                other.close(CloseCode.REPLACED)
        return is_latest

    def leave(self, connection: Connection, session_id: str | None) -> None:
        self.connections.discard(connection)
        if session_id is None:
            return
        if connection.term is not None and connection.device_id is not None:
            self._terms.note(session_id, connection.device_id, connection.term, self.now())
        siblings = self._by_session.get(session_id)
        if siblings is not None:
            self.left += connection in siblings
            siblings.discard(connection)
            if not siblings:
                del self._by_session[session_id]
                self.round_trips.forget(session_id)

    async def drain(self, reason: str = "the server is going away") -> None:
        """Says goaway, lets what is in flight be acknowledged, closes every socket with 4000. Returns within `drain_timeout_s`."""
        self.draining = True
        goaway = messages.goaway(reason, retry_min_ms=0, retry_max_ms=GOAWAY_SPREAD_MS)
        drains = {asyncio.ensure_future(connection.drain(goaway)) for connection in tuple(self.connections)}
        if drains:
            _done, late = await asyncio.wait(drains, timeout=self.settings.drain_timeout_s)
            for task in late:
                task.cancel()
            if late:
                _log.warning("%d sockets did not drain in time", len(late), extra={"event_name": "drain_late"})
                for connection in tuple(self.connections):
                    connection.close(CloseCode.DRAIN)
        self.maintenance.close()
        if self._looking_again is not None:
            self._looking_again.cancel()
        if self._unsubscribe is not None:
            self._unsubscribe()
            self._unsubscribe = None
        for channel in self._channels.values():
            channel.close()
        await self.leases.close()

    async def elsewhere(self, document_id: str) -> Elsewhere:
        """Who has the document open on other nodes."""
        return await self.manager.presence.elsewhere(document_id, self.leases.node_id)

    def heartbeat(self, session: Session, report: DeviceReport) -> None:
        """A sign of life over HTTP: for the sockets of the session, or of a device that has none here. Never waits."""
        if self.draining:
            return
        connections = self._by_session.get(session.session_id, ())
        for connection in connections:
            connection.attendance.seen()
        if not connections:
            self.leases.beat(session.session_id, report.device_id or "")
        self.note_device(session, report)

    def note_device(self, session: Session, report: DeviceReport) -> None:
        """Keeps what the device says of itself, if the session does not know it yet. Never waits."""
        if described(session, report) != session:
            self.leases.report(report)

    def _finished(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            return
        error = task.exception()
        if error is not None and not isinstance(error, SessileError):
            _log.error(
                "background work of the socket service failed",
                exc_info=error,
                extra={"event_name": "socket_work_failed"},
            )

    def _on_events(self, events: Sequence[Event]) -> None:
        for event in events:
            if event.kind is EventKind.SESSION_ENDED:
                self._session_ended(event)
            elif event.kind in (EventKind.SESSION_CHANGED, EventKind.HANDOFF_CHANGED):
                self._session_event(event)
            elif event.kind is EventKind.PRESENCE_CHANGED:
                channel = self._channels.get(event.key)
                if channel is not None and event.detail != self.leases.node_id:
                    channel.around.look()
            elif event.kind is EventKind.ANOMALY:
                continue  # for the application's listeners
            elif event.kind is EventKind.MAINTENANCE_CHANGED:
                self.maintenance.look()
            elif event.kind is EventKind.NEWS_MISSED:
                self._look_again_soon()
            else:
                channel = self._channels.get(event.key)
                if channel is not None:
                    self._document_event(channel, event)

    def _look_again_soon(self) -> None:
        """Once for all who say so at about the same time: many processes lose the same server at once."""
        if self._looking_again is None:
            self._looking_again = asyncio.get_running_loop().call_later(_LOOK_AGAIN_S, self._look_again)

    def _look_again(self) -> None:
        """At what the next pings would look at."""
        self._looking_again = None
        self.maintenance.look()
        for channel in tuple(self._channels.values()):
            channel.look()
            channel.around.look()
        for connection in tuple(self.connections):
            connection.look_again()

    def _document_event(self, channel: Channel, event: Event) -> None:
        if event.kind is EventKind.CHECKPOINT_SAVED:
            channel.checkpoint_saved(event)
            return
        if event.changes:
            channel.commit(event.epoch, event.changes)
        elif event.restored is not None and event.restored.changes:
            channel.commit(event.epoch, event.restored.changes)
        else:
            channel.hint(event.epoch, event.version)
        if event.kind is EventKind.DOCUMENT_RESTORED:
            channel.restored(event)

    def _session_event(self, event: Event) -> None:
        for connection in tuple(self._by_session.get(event.key, ())):
            if event.kind is EventKind.SESSION_CHANGED:
                connection.session_changed(refresh=event.detail == REFRESH)
                if event.detail == RELOAD:
                    connection.send_documents()
            else:
                connection.spawn(connection.tell_handoff(event.detail))

    def _session_ended(self, event: Event) -> None:
        self._ended[event.key] = event.detail
        if len(self._ended) > _ENDED_REMEMBERED:
            self._ended.popitem(last=False)
        for connection in tuple(self._by_session.get(event.key, ())):
            connection.end(event.detail)
