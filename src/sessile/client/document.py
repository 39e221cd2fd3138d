"""A document as an application sees it: state, changes, conflicts, checkpoints, devices."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol

from sessile.client import events
from sessile.client.changes import Change
from sessile.client.core import RETRY_DELAY_S, DocumentCore
from sessile.client.effects import (
    Acknowledged,
    ConflictOpened,
    Effect,
    Pending,
    RenewIdentity,
    RequestSync,
    Rewind,
    Settled,
    SnapshotTaken,
    Updated,
)
from sessile.client.errors import NotConnected, is_retryable
from sessile.client.events import SyncStatus
from sessile.client.outbox import Outbox, new_id
from sessile.client.records import (
    Answer,
    Device,
    Frame,
    RestoredDocument,
    SavedCheckpoint,
    checkpoint_from,
    device_from,
    difference_from,
    restored_from,
)
from sessile.client.sender import Sender, stop
from sessile.model.change_format import parse_operations
from sessile.model.document import CheckpointKind, Conflict, Difference, Operation, State
from sessile.model.errors import SessileError

if TYPE_CHECKING:
    from collections.abc import Callable

    from sessile.client.api import Api

ItemId = str | int
_NO_VALUE: Final = object()


class Host(Protocol):
    """What a document needs of its client."""

    outbox: Outbox

    @property
    def is_connected(self) -> bool: ...

    @property
    def failure(self) -> SessileError | None:
        """Why the client does not try to connect; None while it does."""
        ...

    def send(self, frame: Frame) -> bool: ...

    async def request(self, frame: Mapping[str, Any]) -> Frame:
        """Sends a frame with a request id and waits for its answer. Raises NotConnected, ConnectionLost, and what the server refuses."""
        ...

    @property
    def api(self) -> Api: ...

    def emit(self, event: events.Event) -> None: ...

    async def renew_identity(self, device_id: str) -> None: ...


class Document:
    """Made by `Client.document` or `Client.open`. States are to be treated as immutable."""

    def __init__(self, host: Host, name: str, default: State | None) -> None:
        self.name = name
        self.default = default
        self.devices: Sequence[Device] = ()
        self.error: SessileError | None = None
        """Why the server does not open the document, None when it does."""
        self.is_loaded = False
        """True when what the outbox holds from earlier is here. Only then is the server asked: an answer must find its change."""
        self._host = host
        self._core = DocumentCore(default)
        self._device_id = ""
        self._acknowledged = 0
        self._waiting: dict[str, Change] = {}
        """Changes by nonce, until their end is known."""
        self._storing = asyncio.Lock()
        self._stores: set[asyncio.Task[Change]] = set()
        self._changed = asyncio.Event()
        self._status = SyncStatus.BEHIND
        self._sender = Sender(
            host.outbox,
            name,
            generation=lambda: self._core.generation if self._core.confirmed is not None else None,
            send=lambda changes: host.send({"type": "change", "document_id": self.id, "changes": changes}),
        )
        self._sending = asyncio.create_task(self._sender.run(), name=f"sessile-sender-{name}")

    def __repr__(self) -> str:
        return f"Document(name={self.name!r}, version={self.version}, status={self.sync_status})"

    # -- what it is -------------------------------------------------------------------------------------------------

    @property
    def id(self) -> str | None:
        """None until the server has opened it."""
        return self._core.document_id

    @property
    def state(self) -> State:
        """The confirmed state with the changes of this client on top that are not confirmed yet."""
        return self._core.state

    @property
    def confirmed(self) -> State | None:
        """What the server has committed, as far as it is known here; None before the first time."""
        return self._core.confirmed

    @property
    def epoch(self) -> str | None:
        """The identity of the document's log. Position is `(epoch, version)`."""
        return self._core.epoch

    @property
    def version(self) -> int:
        """Of the confirmed state."""
        return self._core.version

    @property
    def device_no(self) -> int | None:
        """This device's number among those of the document."""
        return self._core.device_no

    @property
    def conflicts(self) -> list[Conflict]:
        """Open ones: two values for one path, of which one is in the state."""
        return self._core.conflicts

    @property
    def pending_count(self) -> int:
        """Changes that the server has not answered yet."""
        return len(self._core.unanswered)

    @property
    def sync_status(self) -> SyncStatus:
        if self._core.diverged:
            return SyncStatus.DIVERGED
        if self._host.failure is not None:
            return SyncStatus.NEEDS_AUTH if self._host.failure.http_status == 401 else SyncStatus.BEHIND
        if self.pending_count:
            return SyncStatus.SYNCING if self._host.is_connected else SyncStatus.SAVED_LOCALLY
        return SyncStatus.SYNCHRONIZED if self._host.is_connected and self._core.is_current else SyncStatus.BEHIND

    async def synchronized(self) -> None:
        """Returns when everything made here is committed and the confirmed state is the newest known. Raises the error for which the
        server does not open the document, or for which the client has stopped trying."""
        await self._until(lambda: self.sync_status is SyncStatus.SYNCHRONIZED)

    async def ready(self) -> None:
        """Returns when there is a confirmed state. Raises like `synchronized`."""
        await self._until(lambda: self._core.confirmed is not None)

    # -- changes ----------------------------------------------------------------------------------------------------

    async def set(self, path: str, value: Any) -> Change:
        """Puts a value at a path (JSON Pointer); missing parents are made."""
        return await self.change([{"op": "set", "path": path, "value": value}])

    async def remove(self, path: str) -> Change:
        return await self.change([{"op": "remove", "path": path}])

    async def merge(self, path: str, value: State) -> Change:
        """JSON Merge Patch (RFC 7396): leaf by leaf, so that two devices that edit different fields do not collide."""
        return await self.change([{"op": "merge", "path": path, "value": dict(value)}])

    async def increment(self, path: str, by: float = 1) -> Change:
        return await self.change([{"op": "increment", "path": path, "by": by}])

    async def append(self, path: str, item: State) -> Change:
        """Adds an item, an object with an `id`, to the end of a list."""
        return await self.change([{"op": "append", "path": path, "item": dict(item)}])

    async def insert(self, path: str, item: State, after: ItemId | None) -> Change:
        """The same behind the item of that id, None: as the first."""
        return await self.change([{"op": "insert", "path": path, "item": dict(item), "after": after}])

    async def move(self, path: str, item_id: ItemId, after: ItemId | None) -> Change:
        return await self.change([{"op": "move", "path": path, "id": item_id, "after": after}])

    async def remove_item(self, path: str, item_id: ItemId) -> Change:
        return await self.change([{"op": "remove_item", "path": path, "id": item_id}])

    async def resolve(self, conflict_id: str, choice: str = "value", *, value: Any = _NO_VALUE) -> Change:
        """Closes an open conflict: `mine` (the value this device made), `theirs`, or another value."""
        operation = {"op": "resolve", "conflict_id": conflict_id, "choice": choice}
        return await self.change([operation if value is _NO_VALUE else {**operation, "value": value}])

    async def change(self, operations: Sequence[Operation]) -> Change:
        """One atomic change: in `state` at once, and stored in the outbox when this returns; `await change.durable` waits for the server.
        A caller that is cancelled meanwhile does not take the change back.

        Raises InvalidChange for what the protocol cannot carry, OutboxUnavailable when it could not be stored.
        """
        draft = self._core.draft(new_id(), parse_operations(list(operations)))
        change = self._waiting[draft.nonce] = Change()
        task = asyncio.create_task(self._store(draft, change), name=f"sessile-store-{self.name}")
        self._stores.add(task)
        task.add_done_callback(self._stores.discard)
        self._notify()
        return await asyncio.shield(task)

    async def _store(self, draft: Pending, change: Change) -> Change:
        async with self._storing:  # first come, first numbered
            try:
                entry = await self._host.outbox.add(self.name, draft, self.default)
            except SessileError:
                self._core.forget(draft.nonce)
                self._waiting.pop(draft.nonce, None)
                self._notify()
                raise
        self._take_in(entry)
        self._sender.poke()
        if self._device_id not in ("", entry.device_id):
            # Another process on this outbox has done so already: follow it.
            await self._host.renew_identity(self._device_id)
        problem = self.error or self._host.failure
        if problem is not None:
            self.stopped(problem)
        self._notify()
        return change

    def _take_in(self, entry: Pending) -> None:
        """An entry of the outbox."""
        self._number(entry)
        self._core.stored(entry)

    def _number(self, entry: Pending) -> None:
        change = self._waiting.get(entry.nonce)
        if change is not None and entry.device_id is not None and entry.seq is not None:
            change.numbered(entry.device_id, entry.seq)

    # -- checkpoints ------------------------------------------------------------------------------------------------

    async def checkpoint(
        self,
        label: str = "",
        *,
        kind: CheckpointKind = CheckpointKind.MANUAL,
        step: int | None = None,
        request_id: str | None = None,
    ) -> SavedCheckpoint:
        """Waits until everything made here is committed, then saves a checkpoint. The same request_id again gives the same one, so it
        may be repeated after ConnectionLost. Raises NotConnected."""
        await self._all_committed()
        frame: dict[str, Any] = {"type": "checkpoint", "document_id": self.id, "label": label, "kind": str(kind)}
        if step is not None:
            frame["step"] = step
        if request_id is not None:
            frame["request_id"] = request_id
        return checkpoint_from((await self._host.request(frame))["checkpoint"])

    async def checkpoints(self) -> list[SavedCheckpoint]:
        """Newest first. Asked over HTTP."""
        await self.ready()
        return await self._host.api.document(str(self.id)).checkpoints()

    async def restore(
        self, checkpoint_id: str, *, paths: Sequence[str] | None = None, version: int | None = None
    ) -> RestoredDocument:
        """Back to a checkpoint, wholly or for some paths, as a new version; with `version` only if the document is still at it. Raises
        CheckpointNotFound, VersionConflict, NotConnected, ConnectionLost (then it may have happened)."""
        await self._all_committed()
        frame = self._restore_frame(checkpoint_id, paths)
        return restored_from(await self._host.request(frame if version is None else {**frame, "version": version}))

    async def preview(self, checkpoint_id: str, *, paths: Sequence[str] | None = None) -> list[Difference]:
        """What a restore would change now."""
        await self._all_committed()
        answer = await self._host.request({**self._restore_frame(checkpoint_id, paths), "dry_run": True})
        return [difference_from(raw) for raw in answer["differences"]]

    def _restore_frame(self, checkpoint_id: str, paths: Sequence[str] | None) -> dict[str, Any]:
        frame = {"type": "restore", "document_id": self.id, "checkpoint_id": checkpoint_id}
        return frame if paths is None else {**frame, "paths": list(paths)}

    async def _all_committed(self) -> None:
        if not self._host.is_connected:
            raise NotConnected
        await self.ready()
        await asyncio.gather(*self._stores, return_exceptions=True)  # each of them tells its own caller
        await asyncio.gather(*(change.ended() for change in self._waiting.values()))

    def request_sync(self) -> None:
        """Asks the server for what may be missing."""
        self._perform_now(self._core.request_sync("user"))

    # -- for the client ---------------------------------------------------------------------------------------------

    async def wanted(self) -> dict[str, Any]:
        """WANTED of the protocol: by name, with the position if there is one. What was acknowledged is looked up before the server is
        asked: its answer cannot be older then."""
        self._acknowledged = await self._host.outbox.acknowledged(self.name)
        wanted: dict[str, Any] = {"name": self.name}
        if self.default is not None:
            wanted["default"] = self.default
        if self._core.position is not None:
            wanted["epoch"], wanted["version"] = self._core.position
        return wanted

    async def load(self) -> None:
        """Takes in what the outbox holds from earlier."""
        for entry in await self._host.outbox.entries(self.name):
            self._core.stored(entry)
        self.is_loaded = True
        self._notify()

    async def renewed(self) -> None:
        """The outbox has numbered everything again."""
        async with self._storing:
            entries = await self._host.outbox.entries(self.name)
            for entry in entries:
                self._number(entry)
            self._perform_now(self._core.replace_stored(entries))

    async def opened(self, frame: Frame, device_id: str) -> None:
        self.error = None
        self._device_id = device_id
        effects = self._core.opened(frame, device_id, self._acknowledged)
        if not effects:
            await self._host.outbox.continue_after(self.name, device_id, frame["last_seq"])
            self._sender.open(device_id)
        await self._perform(effects)

    def refused(self, error: SessileError) -> None:
        """The server does not open the document on this connection."""
        self._sender.close()
        self.error = error
        self.stopped(error)

    def failed(self, error: SessileError) -> None:
        """The server could not even read what was sent to it, or has dropped the document. Trying again helps only if it says so."""
        if is_retryable(error):
            self._sender.rewind(0, RETRY_DELAY_S)
        else:
            self.refused(error)

    def disconnected(self) -> None:
        self._sender.close()
        self._core.disconnected()
        if self.devices:
            self._set_devices([])
        self._notify()

    def stopped(self, error: SessileError) -> None:
        """There will be no answer for now: whoever waits for one is told why. The changes stay in the outbox."""
        for change in self._waiting.values():
            change.end(error)
        self._waiting.clear()
        self._notify()

    async def close(self) -> None:
        """Ends the work of this document; what is stored stays in the outbox."""
        await asyncio.gather(*self._stores, return_exceptions=True)
        self._sender.close()
        await stop(self._sending)
        await self._sender.trim()

    async def frame(self, frame: Frame) -> None:
        """A frame about this document."""
        match frame["type"]:
            case "initial_state":
                await self._perform(self._core.snapshot(frame))
                await self._look_into_outbox()
            case "state_update":
                await self._perform(self._core.update(frame))
            case "ack":
                await self._perform(self._core.ack(frame))
            case "nack":
                await self._perform(self._core.nack(frame))
            case "presence_state":
                self._set_devices([device_from(raw) for raw in frame["devices"]])
            case "presence_diff":
                changed = [device_from(raw) for raw in frame["devices"]]
                gone = {*frame["left"], *(device.device_no for device in changed)}
                rest = [device for device in self.devices if device.device_no not in gone]
                self._set_devices(sorted([*rest, *changed], key=lambda device: device.device_no))
            case "checkpoint_saved":
                checkpoint = checkpoint_from(frame["checkpoint"])
                self._host.emit(events.CheckpointSaved(**self._label, checkpoint=checkpoint))
            case "session_restored":
                self._host.emit(events.SessionRestored(**self._label, restored=restored_from(frame)))
            case _:
                return  # a newer server may say more

    async def head(self, epoch: str, version: int) -> None:
        """A ping named the document's head."""
        await self._perform(self._core.head(epoch, version))
        await self._look_into_outbox()

    async def _look_into_outbox(self) -> None:
        """Another process on the same outbox may have had the answers that this one waits for."""
        if self._core.has_unheard:
            entries = await self._host.outbox.entries(self.name)
            await self._perform(self._core.held({entry.nonce for entry in entries}))

    # -- inside -----------------------------------------------------------------------------------------------------

    @property
    def _label(self) -> dict[str, Any]:
        return {"name": self.name, "document_id": self.id}

    async def _perform(self, effects: Sequence[Effect]) -> None:
        renew = any(isinstance(effect, RenewIdentity) for effect in effects)
        self._perform_now(effects)
        if renew:
            await self._host.renew_identity(self._device_id)

    def _perform_now(self, effects: Sequence[Effect]) -> None:
        """Everything that does not wait."""
        for effect in effects:
            match effect:
                case RequestSync(reason, position):
                    frame = {"type": "request_sync", "document_id": self.id, "reason": reason}
                    where = {} if position is None else {"epoch": position[0], "version": position[1]}
                    self._host.send({**frame, **where})
                case Acknowledged(device_id, through):
                    self._sender.acknowledged(device_id, through)
                case Rewind(after, delay_s):
                    self._sender.rewind(after, delay_s)
                case Settled(nonce, answer, operations):
                    self._settle(nonce, answer, operations)
                case ConflictOpened(conflict):
                    self._host.emit(events.ConflictDetected(**self._label, conflict=conflict))
                case SnapshotTaken():
                    self._sender.poke()  # what was made before the document was known has waited for its generation
                    event = events.InitialStateReceived(
                        **self._label, state=self._core.confirmed or {}, version=self.version
                    )
                    self._host.emit(event)
                case Updated(changes):
                    event_ = events.StateUpdateReceived(**self._label, version=self.version, changes=changes)
                    self._host.emit(event_)
                case RenewIdentity():
                    self._sender.close()
        self._notify()

    def _settle(self, nonce: str, answer: Answer, operations: Sequence[Operation]) -> None:
        change = self._waiting.pop(nonce, None)
        if change is not None:
            change.end(answer)
        self._host.emit(events.ChangeSettled(**self._label, answer=answer, operations=operations))

    def _set_devices(self, devices: Sequence[Device]) -> None:
        self.devices = devices
        self._host.emit(events.PresenceChanged(**self._label, devices=devices))

    async def _until(self, holds: Callable[[], bool]) -> None:
        while not holds():
            problem = self.error or self._host.failure
            if problem is not None:
                raise problem
            self._changed.clear()
            await self._changed.wait()

    def _notify(self) -> None:
        before, self._status = self._status, self.sync_status
        if before is not self._status:
            self._host.emit(events.SyncStatusChanged(**self._label, before=before, after=self._status))
        self._changed.set()

    status_may_have_changed = _notify
