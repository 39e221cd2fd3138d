"""One document on one socket: where its reader is, and how it gets from there to the head without gap, repeat or waiting for others."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, Final, Protocol

from sessile.model.document import Actor, Delta, Opened
from sessile.model.errors import DocumentNotFound, SessileError, StoreUnavailable
from sessile.server.realtime import messages
from sessile.server.realtime.news import News
from sessile.server.realtime.outbox import Outbox
from sessile.server.realtime.wire import Encoded

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from sessile.runtime.documents import AsyncDocuments
    from sessile.server.realtime.channel import Channel, Update

_log = logging.getLogger("sessile.server")

CHANGES_PER_UPDATE_MAX: Final = 64
"""A long catch-up is sent in several frames, so that it can wait for room between them."""


class Peer(Protocol):
    """The socket, as far as a subscription needs it."""

    outbox: Outbox
    news: News
    documents: AsyncDocuments

    def spawn(self, work: Coroutine[Any, Any, None]) -> None: ...

    def lost(self, subscription: Subscription, error: SessileError) -> None:
        """The document is not to be had any more: says so and drops the subscription."""
        ...


class Phase(Enum):
    LOADING = auto()
    """Reading what it was asked for. What is committed meanwhile is only noted, and read afterwards."""
    LIVE = auto()
    """At the head: every commit is passed on as it comes."""
    BEHIND = auto()
    """Something could not be passed on (gap, full socket). It catches up with one read from its own position."""


class Subscription:
    """Must be in its channel before anything is read for it: so nothing that is committed during the read is missed."""

    __slots__ = (
        "_catching_up", "_generation", "_missed", "_outbox", "_peer", "_reading", "actor", "channel", "cursor", "device_no", "epoch",
        "phase",
    )  # fmt: skip

    def __init__(self, peer: Peer, channel: Channel, actor: Actor) -> None:
        self.channel = channel
        self.actor = actor
        self.device_no = 0
        self.phase = Phase.LOADING
        self.epoch = ""
        self.cursor = 0  # the last version that was queued for the socket
        self._generation = 0
        self._peer = peer
        self._outbox = peer.outbox
        self._missed = False
        self._catching_up = False
        self._reading = asyncio.Lock()

    @property
    def document_id(self) -> str:
        return self.channel.document_id

    async def load(self, opened: Opened, position: tuple[str, int] | None, *, read_before_joining: bool) -> None:
        """Sends a snapshot, or from `position` what came since, and goes live. Raises what the read raises."""
        async with self._reading:
            if position is None:
                await self._send_snapshot(opened)
                self._missed = self._missed or read_before_joining
            else:
                self.epoch, self.cursor = position
                await self._read_and_send(answer_always=True)
            await self._go_live()

    async def resync(self, position: tuple[str, int] | None) -> None:
        """The answer to `request_sync`: a delta from `position` or a snapshot. Raises what the read raises."""
        async with self._reading:
            self.phase = Phase.LOADING
            self._missed = False
            try:
                if position is None:
                    await self._send_snapshot(await self._peer.documents.open_by_id(self.actor, self.document_id))
                else:
                    self.epoch, self.cursor = position
                    await self._read_and_send(answer_always=True)
                await self._go_live()
            except SessileError:
                self.phase = Phase.BEHIND
                raise

    def reload(self) -> None:
        """A snapshot that the reader did not ask for, unless it is being read to just now. Never waits."""
        if self.phase is not Phase.LOADING:
            self._peer.spawn(self._reload())

    async def _reload(self) -> None:
        with self._reading_alone():
            await self.resync(None)

    def offer(self, update: Update) -> None:
        """What was just committed. Never waits."""
        if self.phase is Phase.LIVE and update.first == self.cursor + 1 and update.epoch == self.epoch:
            self._pass_on(update)
            return
        if self.phase is not Phase.LIVE:
            self._missed = True
            if self.phase is Phase.BEHIND:
                self.catch_up()
            return
        if update.epoch != self.epoch or update.first > self.cursor + 1:
            self.lag()
            return
        if update.last <= self.cursor:
            return
        self._pass_on(update.after(self.cursor))

    def _pass_on(self, update: Update) -> None:
        if self._outbox.offer(update.frame):
            self.cursor = update.last
        else:
            self.phase = Phase.BEHIND  # `drained` goes on from here

    def notice(self, frame: Encoded, *, request_id: str | None = None, restored_version: int | None = None) -> None:
        """News that carries no state."""
        self._peer.news.tell(self.document_id, frame, request_id=request_id, restored_version=restored_version)

    def check(self) -> None:
        """Called now and then: a reader that stands still below the known head, for whatever reason, is brought up to it."""
        head = self.channel.head
        if self.phase is Phase.LIVE and head is not None and head[0] == self.epoch and head[1] > self.cursor:
            self.lag()
        self.catch_up()

    def lag(self) -> None:
        """Something was missed, or the log is another one: read from the own position."""
        if self.phase is Phase.LOADING:
            self._missed = True
            return
        self.phase = Phase.BEHIND
        self.catch_up()

    def catch_up(self) -> None:
        """Starts a read unless one is under way or the socket has no room; `drained` and the next ping call again."""
        if self.phase is Phase.BEHIND and not self._catching_up and not self._outbox.is_full:
            self._catching_up = True
            self._peer.spawn(self._catch_up())

    async def _catch_up(self) -> None:
        try:
            with self._reading_alone():
                async with self._reading:
                    if self.phase is Phase.BEHIND:
                        await self._read_and_send(answer_always=False)
                        await self._go_live()
        finally:
            self._catching_up = False

    @contextmanager
    def _reading_alone(self) -> Iterator[None]:
        """A read that no frame asked for: what goes wrong is told as news, or waits for the next look."""
        try:
            yield
        except DocumentNotFound as error:
            self._peer.lost(self, error)
        except StoreUnavailable:
            _log.info(
                "catching up on document %s waits for the store",
                self.document_id,
                extra={"event_name": "document_waits"},
            )

    async def _go_live(self) -> None:
        while self._missed:
            self._missed = False
            await self._read_and_send(answer_always=False)
        self.phase = Phase.LIVE
        if not self.channel.reached(self.epoch, self.cursor, self._generation):
            self.lag()

    async def _read_and_send(self, *, answer_always: bool) -> None:
        delta = await self._peer.documents.since(self.actor, self.document_id, epoch=self.epoch, version=self.cursor)
        if delta.snapshot:
            # Opened again because `last_seq` and state must be of the same moment: an older `last_seq` would leave the client
            # with a pending change that the state already contains.
            await self._send_snapshot(await self._peer.documents.open_by_id(self.actor, self.document_id))
        elif delta.changes or answer_always:
            await self._send_delta(delta)

    async def _send_snapshot(self, opened: Opened) -> None:
        document = opened.document
        self.epoch, self.cursor, self._generation = document.epoch, document.version, document.generation
        state_hash = self.channel.state_hash(document)
        await self._outbox.put(messages.encode(messages.initial_state_body(opened, state_hash)))

    async def _send_delta(self, delta: Delta) -> None:
        document, changes = delta.document, delta.changes
        self.epoch, self._generation = document.epoch, document.generation
        if not changes:
            await self._outbox.put(messages.encode(messages.unchanged_body(document)))
        for start in range(0, len(changes), CHANGES_PER_UPDATE_MAX):
            batch = changes[start : start + CHANGES_PER_UPDATE_MAX]
            body = messages.state_update_body(
                self.document_id, document.epoch, document.generation, batch[0].version - 1, batch
            )
            self.cursor = batch[-1].version
            await self._outbox.put(messages.encode(body))
