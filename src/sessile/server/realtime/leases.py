"""The presence that this node holds: what is known of its sockets, written in batches, renewed together, kept while the store is away.

Sockets only change what is kept here and never wait. One task writes: shortly after something changed, and every few seconds to renew.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice
from typing import Final, NamedTuple

from sessile.model.errors import SessileError, StoreUnavailable
from sessile.model.presence import HTTP_NODE, DeviceReport, PresenceKey, PresenceLease
from sessile.runtime.presence import RENEWALS_PER_LEASE, AsyncPresence

_log = logging.getLogger("sessile.server")

WRITE_DELAY_S: Final = 0.25
RETRY_S: Final = 1.0
BATCH_MAX: Final = 50
"""Leases in one transaction: changes of others wait for it."""
COMING_BACK_S: Final = 10.0
"""Clients of a server that goes away are back elsewhere within this time, and are not disconnected meanwhile."""
REPORTS_MAX: Final = 10_000
"""Devices whose facts may wait for the store; further ones come with their next hello."""


class Reach(NamedTuple):
    """How far a socket has been brought, and whether it is given everything that comes."""

    version: int = 0
    is_following: bool = True


ReachOf = Callable[[], Reach]


@dataclass(slots=True)
class _Tab:
    visible: bool
    reach: ReachOf
    count: int


@dataclass(slots=True)
class _Held:
    label: str
    seen_at: datetime
    tabs: dict[object, _Tab] = field(default_factory=dict)
    version: int = 0
    left_at: float | None = None
    """When the last tab was closed, in the loop's time."""
    written: PresenceLease | None = None
    """As it stands in the store, for all that is known: also when the answer to a write was lost."""

    def reach(self) -> Reach:
        """Of the tab that is furthest; after the last one has gone, what it was."""
        reaches = [tab.reach() for tab in self.tabs.values()]
        self.version = max([self.version, *(reach.version for reach in reaches)])
        return Reach(self.version, any(reach.is_following for reach in reaches) if reaches else False)


class Leases:
    """One per hub. `now` is the time that is written, the loop's own is what is waited by."""

    def __init__(
        self, presence: AsyncPresence, *, now: Callable[[], datetime], lease_s: float, linger_s: float
    ) -> None:
        self.node_id = _new_node()
        self._presence = presence
        self._now = now
        self._lease = timedelta(seconds=lease_s)
        self._renew_every_s = lease_s / RENEWALS_PER_LEASE
        self._linger_s = linger_s
        self._held: dict[PresenceKey, _Held] = {}
        self._dirty: set[PresenceKey] = set()
        self._gone: dict[PresenceKey, PresenceLease] = {}
        self._beats: dict[PresenceKey, PresenceLease] = {}
        self._beaten_at: dict[PresenceKey, float] = {}  # the oldest first
        self._reports: dict[str, DeviceReport] = {}
        self._renewed_at = 0.0
        self._task: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()

    # -- what sockets say; nothing here waits -----------------------------------------------------------------------------------------

    def key(self, session_id: str, device_id: str, document_id: str = "") -> PresenceKey:
        return PresenceKey(self.node_id, session_id, device_id, document_id)

    def join(self, tab: object, key: PresenceKey, *, label: str, visible: bool, reach: ReachOf, count: int = 1) -> None:
        """A socket of this device is there; again changes how it is shown."""
        held = self._held.get(key)
        if held is None:
            held = self._held[key] = _Held(label, self._now())
            removed = self._gone.pop(key, None)  # it came back before its removal was written
            held.written = removed
        held.label, held.seen_at, held.left_at = label, self._now(), None
        held.tabs[tab] = _Tab(visible, reach, count)
        self._note(key)

    def leave(self, tab: object, key: PresenceKey) -> None:
        """The socket is closed. The device itself leaves when it has had none for a while."""
        held = self._held.get(key)
        if held is None or tab not in held.tabs:
            return
        held.reach()
        del held.tabs[tab]
        held.seen_at = self._now()
        if not held.tabs:
            held.left_at = asyncio.get_running_loop().time()
        self._note(key)

    def show(self, tab: object, key: PresenceKey, *, visible: bool, count: int = 1) -> None:
        held = self._held.get(key)
        shown = held.tabs.get(tab) if held is not None else None
        if held is not None and shown is not None and (shown.visible, shown.count) != (visible, count):
            shown.visible, shown.count = visible, count
            held.seen_at = self._now()
            self._note(key)

    def seen(self, key: PresenceKey) -> None:
        """A sign of life; written with the next thing that is."""
        held = self._held.get(key)
        if held is not None:
            held.seen_at = self._now()

    def beat(self, session_id: str, device_id: str) -> None:
        """A sign of life without a socket: a lease that nobody renews but the next one. Often is no harm: one is written for each renewal."""
        key = PresenceKey(HTTP_NODE, session_id, device_id, "")
        time = asyncio.get_running_loop().time()
        if time - self._beaten_at.get(key, float("-inf")) < self._renew_every_s:
            return
        self._beaten_at.pop(key, None)
        while self._beaten_at and time - next(iter(self._beaten_at.values())) >= self._renew_every_s:
            del self._beaten_at[next(iter(self._beaten_at))]
        self._beaten_at[key] = time
        now = self._now()
        self._beats[key] = PresenceLease(
            node_id=HTTP_NODE,
            session_id=session_id,
            device_id=device_id,
            tabs=0,
            seen_at=now,
            lease_until=now + self._lease,
        )
        self._start()

    def report(self, report: DeviceReport) -> None:
        """What a device says of itself."""
        if len(self._reports) < REPORTS_MAX:
            self._reports[report.session_id] = report
            self._start()

    # -- the task that writes ---------------------------------------------------------------------------------------------------------

    async def close(self) -> None:
        """Nothing more is written. The devices are on their way to another node: their leases stand as long as that takes, and lapse by
        themselves where it does not come about."""
        task, self._task = self._task, None
        if task is not None and not task.done() and task.get_loop() is asyncio.get_running_loop():
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        held = self._held
        advanced = [self._lease_of(key, one) for key, one in held.items() if one.written is not None]
        stays = min(self._lease, timedelta(seconds=max(self._linger_s, COMING_BACK_S)))
        node_id, self.node_id = self.node_id, _new_node()  # whoever comes now is not renewed with those who left
        self._held, self._dirty = {}, set()
        gone, self._gone = self._gone, {}
        if not advanced and not gone:
            return
        try:
            await self._presence.renew(node_id, self._now() + stays, advanced)
        except SessileError as error:
            _log.info(
                "the leases of this node end when they would have anyway: %s",
                error.code,
                extra={"event_name": "leases_left"},
            )

    def _note(self, key: PresenceKey) -> None:
        self._dirty.add(key)
        self._start()

    def _start(self) -> None:
        """Starts the task on the running loop, unless it runs there already."""
        loop = asyncio.get_running_loop()
        if self._task is None or self._task.done() or self._task.get_loop() is not loop:
            self._wake = asyncio.Event()
            self._renewed_at = loop.time()
            self._task = loop.create_task(self._run(), name="sessile-leases")
            self._task.add_done_callback(_ended)
        self._wake.set()

    async def _run(self) -> None:
        """As long as there is anything to hold or to write."""
        loop = asyncio.get_running_loop()
        while self._held or self._is_waiting:
            due_in_s = self._due_at() - loop.time()
            if due_in_s > 0:
                try:
                    async with asyncio.timeout(due_in_s):
                        await self._wake.wait()
                    await asyncio.sleep(WRITE_DELAY_S)  # what happens within a moment is written together
                except TimeoutError:
                    pass
            self._wake.clear()
            try:
                self._let_go(loop.time())
                if loop.time() >= self._renewed_at + self._renew_every_s:
                    await self._renew(loop.time())
                await self._write()
            except StoreUnavailable:
                _log.info("presence waits for the store", extra={"event_name": "presence_waits"})
                await asyncio.sleep(RETRY_S)
                self._wake.set()

    @property
    def _is_waiting(self) -> bool:
        return bool(self._dirty or self._gone or self._beats or self._reports)

    def _due_at(self) -> float:
        """When there is something to do even if nobody says anything."""
        leaving = [held.left_at + self._linger_s for held in self._held.values() if held.left_at is not None]
        return min([self._renewed_at + self._renew_every_s, *leaving])

    def _let_go(self, time: float) -> None:
        over = [
            key
            for key, held in self._held.items()
            if held.left_at is not None and time >= held.left_at + self._linger_s
        ]
        for key in over:
            held = self._held.pop(key)
            self._dirty.discard(key)
            if held.written is not None:
                self._gone[key] = self._lease_of(key, held)

    async def _renew(self, time: float) -> None:
        """One statement for all. Who has come further is written with it; who fell behind, or caught up, is told to the other nodes."""
        advanced = []
        written = 0
        for key, held in self._held.items():
            if held.written is None:
                continue
            written += 1
            lease = self._lease_of(key, held)
            if lease.is_following != held.written.is_following or not (
                lease.is_following or lease.version == held.written.version
            ):
                self._dirty.add(key)
            elif lease.version != held.written.version:
                advanced.append(lease)
        standing = await self._presence.renew(self.node_id, self._now() + self._lease, advanced)
        self._renewed_at = time
        for lease in advanced:
            if lease.key in self._held:
                self._held[lease.key].written = lease
        if standing < written:  # this node was taken for dead: it slept, or the store was away for it alone
            self._dirty |= self._held.keys()

    async def _write(self) -> None:
        """Puts and removals, in bounded batches. What was not written stays to be written."""
        while self._is_waiting:
            gone = list(islice(self._gone.values(), BATCH_MAX))
            if gone:
                await self._presence.disconnected(gone)
                self._forget(self._gone, gone)
            keys = list(islice(self._dirty, BATCH_MAX))
            puts = [self._lease_of(key, self._held[key]) for key in keys if key in self._held]
            beats = list(islice(self._beats.values(), BATCH_MAX))
            reports = list(islice(self._reports.values(), BATCH_MAX))
            self._dirty.difference_update(keys)
            try:
                for lease in puts:  # before they are: of a write that failed it is not known whether it was done
                    self._held[lease.key].written = lease
                if puts or beats or reports:
                    await self._presence.connected([*puts, *beats], reports)
            except StoreUnavailable:
                self._dirty.update(key for key in keys if key in self._held)
                raise
            self._forget(self._beats, beats)
            for report in reports:
                if self._reports.get(report.session_id) is report:
                    del self._reports[report.session_id]

    @staticmethod
    def _forget(waiting: dict[PresenceKey, PresenceLease], written: Iterable[PresenceLease]) -> None:
        """What came meanwhile for the same key stays."""
        for lease in written:
            if waiting.get(lease.key) is lease:
                del waiting[lease.key]

    def _lease_of(self, key: PresenceKey, held: _Held) -> PresenceLease:
        reach = held.reach()
        return PresenceLease(
            **key._asdict(),
            label=held.label,
            tabs=sum(tab.count for tab in held.tabs.values()),
            visible=any(tab.visible for tab in held.tabs.values()),
            version=reach.version,
            is_following=reach.is_following,
            seen_at=held.seen_at,
            lease_until=self._now() + self._lease,
        )


def _new_node() -> str:
    return secrets.token_hex(8)


def _ended(task: asyncio.Task[None]) -> None:
    error = None if task.cancelled() else task.exception()
    if error is not None:
        _log.error("the writing of presence failed", exc_info=error, extra={"event_name": "presence_failed"})
