"""One document in this process: who has it open, how far the log is known, and the passing on of what is committed.

The channel knows one position, the head that has been passed on. Whoever stands there gets the very same encoded text; everybody else
(loading, behind, another log) reads for itself. Events are hints: a gap is read from the store, never guessed.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

from sessile.model.document import Actor, Checkpoint, CheckpointKind, Document, LoggedChange
from sessile.model.errors import DocumentNotFound, StoreUnavailable
from sessile.model.events import Event
from sessile.model.wire import iso
from sessile.server.realtime import messages
from sessile.server.realtime.around import Around
from sessile.server.realtime.presence import Board
from sessile.server.realtime.wire import Encoded

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from sessile.model.presence import Elsewhere
    from sessile.runtime.documents import AsyncDocuments
    from sessile.server.realtime.subscription import Subscription

_log = logging.getLogger("sessile.server")


class Update:
    """Contiguous changes, encoded when first needed and then shared."""

    def __init__(self, document_id: str, epoch: str, generation: int, changes: Sequence[LoggedChange]) -> None:
        self.document_id = document_id
        self.epoch = epoch
        self.generation = generation
        self.changes = changes
        self.first = changes[0].version
        self.last = changes[-1].version

    @cached_property
    def frame(self) -> Encoded:
        return Encoded(
            messages.encode(
                messages.state_update_body(self.document_id, self.epoch, self.generation, self.first - 1, self.changes)
            )
        )

    def after(self, version: int) -> Update:
        """The part above `version`: itself when that is all of it."""
        if self.first > version:
            return self
        rest = [change for change in self.changes if change.version > version]
        return Update(self.document_id, self.epoch, self.generation, rest)


class Host(Protocol):
    """What a channel needs of the hub."""

    documents: AsyncDocuments
    leave_after_s: float

    def now(self) -> datetime: ...

    def spawn(self, work: Coroutine[Any, Any, None]) -> None: ...

    def state_hash(self, document: Document) -> str: ...

    async def elsewhere(self, document_id: str) -> Elsewhere: ...


class Channel:
    def __init__(self, host: Host, document_id: str) -> None:
        self.document_id = document_id
        self.subscriptions: set[Subscription] = set()
        self.checked_at = float("-inf")
        self._host = host
        self._epoch: str | None = None
        self._version = 0
        self._generation = 0
        self._reading = False
        self._read_again = False
        self.presence = Board(
            self._announce, now=host.now, head=lambda: self._version, leave_after_s=host.leave_after_s
        )
        self.around = Around(host, document_id, self.presence)

    @property
    def head(self) -> tuple[str, int] | None:
        """The position known here, or None before the first reader is up to date."""
        return (self._epoch, self._version) if self._epoch is not None else None

    def state_hash(self, document: Document) -> str:
        return self._host.state_hash(document)

    def close(self) -> None:
        self.presence.close()

    def reached(self, epoch: str, version: int, generation: int) -> bool:
        """A reader goes live at this position, which may be further than the channel knew. False: the head is further already."""
        if self._epoch is None or (epoch == self._epoch and version > self._version and len(self.subscriptions) == 1):
            self._epoch, self._version, self._generation = epoch, version, generation
        elif epoch != self._epoch or version > self._version:
            self.look()
        return epoch != self._epoch or version >= self._version

    def commit(self, epoch: str, changes: Sequence[LoggedChange]) -> None:
        """Changes that are durable, from this process or read from the store."""
        self._note_primary(changes)
        if self._epoch is None or (epoch and epoch != self._epoch):
            self._everybody_lags()
            if self._epoch is not None:
                self.look()
            return
        fresh = [change for change in changes if change.version > self._version]
        if not fresh:
            return
        if fresh[0].version != self._version + 1:
            self.look()
            return
        self._version = fresh[-1].version
        self._generation = max(self._generation, *(change.generation for change in fresh))
        update = Update(self.document_id, self._epoch, self._generation, fresh)
        for subscription in tuple(self.subscriptions):
            subscription.offer(update)

    def hint(self, epoch: str, version: int) -> None:
        """Another process committed up to this version."""
        if self._epoch is None:
            self._everybody_lags()
        elif (epoch and epoch != self._epoch) or version > self._version:
            self.look()

    def look(self) -> None:
        """Reads what is above the known head, once for everybody. Calls during a read lead to one more."""
        self._read_again = True
        if not self._reading:
            self._reading = True
            self._host.spawn(self._read())

    def checkpoint_saved(self, event: Event) -> None:
        if event.checkpoint is not None:
            self._tell_checkpoint(event.checkpoint)
        else:
            self._host.spawn(self._find_checkpoint(event.detail))

    def restored(self, event: Event) -> None:
        """The changes of a restore come like any others; this is the news that it was one."""
        if event.restored is not None:
            self._tell_restored(messages.session_restored_body(event.restored))
        else:
            self._host.spawn(self._find_restore(event))

    async def _read(self) -> None:
        try:
            while self._read_again and self._epoch is not None:
                self._read_again = False
                delta = await self._host.documents.since(
                    Actor.system(), self.document_id, epoch=self._epoch, version=self._version
                )
                if delta.snapshot or delta.document.epoch != self._epoch:
                    self._jump(delta.document)
                elif delta.changes:
                    self._generation = max(self._generation, delta.document.generation)
                    self.commit(delta.document.epoch, delta.changes)
        except DocumentNotFound:
            self._everybody_lags()  # each finds out with its own actor and is told
        except StoreUnavailable:
            _log.info(
                "reading document %s waits for the store", self.document_id, extra={"event_name": "document_waits"}
            )
        finally:
            self._reading = False

    def _jump(self, document: Document) -> None:
        """The head is not reachable change by change: another log, or too far away."""
        self._epoch, self._version, self._generation = document.epoch, document.version, document.generation
        self._everybody_lags()

    def _everybody_lags(self) -> None:
        for subscription in tuple(self.subscriptions):
            subscription.lag()

    def _note_primary(self, changes: Sequence[LoggedChange]) -> None:
        for change in reversed(changes):
            if change.device_no > 0:
                self.presence.set_primary(change.device_no)
                return

    def _announce(self, devices: list[dict[str, Any]], left: list[int]) -> None:
        frame = Encoded(messages.presence_diff(self.document_id, devices, left))
        for subscription in tuple(self.subscriptions):
            subscription.notice(frame)

    def _tell(self, text: str, *, request_id: str | None = None, restored_version: int | None = None) -> None:
        frame = Encoded(text)
        for subscription in tuple(self.subscriptions):
            subscription.notice(frame, request_id=request_id, restored_version=restored_version)

    def _tell_checkpoint(self, checkpoint: Checkpoint) -> None:
        self._tell(messages.checkpoint_saved(checkpoint, self._epoch or ""), request_id=checkpoint.request_id)

    def _tell_restored(self, body: dict[str, Any]) -> None:
        self._tell(messages.encode(body), restored_version=body["version"])

    async def _find_checkpoint(self, checkpoint_id: str) -> None:
        with self._news_of("a checkpoint"):
            found = await self._host.documents.checkpoints(Actor.system(), self.document_id)
            for checkpoint in found:
                if checkpoint.checkpoint_id == checkpoint_id:
                    self._tell_checkpoint(checkpoint)

    async def _find_restore(self, event: Event) -> None:
        """A restore made by another process, put together from its line of the log and the checkpoint of its transaction."""
        with self._news_of("a restore"):
            documents, system = self._host.documents, Actor.system()
            log = await documents.log(system, self.document_id, before=event.version + 1, limit=1)
            for change in log:
                found = await documents.checkpoints(system, self.document_id)
                before = next(
                    (c for c in found if c.kind is CheckpointKind.BEFORE_RESTORE and c.version < change.version), None
                )
                self._tell_restored(
                    {
                        "type": "session_restored",
                        "document_id": self.document_id,
                        "epoch": event.epoch or self._epoch or "",
                        "generation": change.generation,
                        "version": change.version,
                        "timestamp": iso(change.created_at),
                        "checkpoint_id": event.detail,
                        "before_checkpoint_id": before.checkpoint_id if before is not None else None,
                        "device_no": change.device_no,
                    }
                )

    @contextmanager
    def _news_of(self, what: str) -> Iterator[None]:
        """News is passed on when it can be read; the state arrives in any case."""
        try:
            yield
        except (DocumentNotFound, StoreUnavailable) as error:
            _log.info(
                "the news of %s of document %s was not passed on: %s",
                what,
                self.document_id,
                error.code,
                extra={"event_name": "news_untold"},
            )
