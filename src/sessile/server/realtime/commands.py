"""What the frames of one socket do, once it is welcome. Faults become `error` frames; nothing here closes the socket."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from sessile.model.change_format import check_value, parse_changes
from sessile.model.document import CheckpointKind, Opened, Submission
from sessile.model.errors import DocumentNotFound, InvalidChange, PlatformRefused, SessileError, SessionNotFound
from sessile.model.limits import DOCUMENTS_PER_SOCKET_MAX
from sessile.model.platform import Platform
from sessile.model.pointer import parse as parse_pointer
from sessile.server.realtime import frames, messages
from sessile.server.realtime.subscription import Subscription
from sessile.server.refusals import MalformedFrame, TooMany

if TYPE_CHECKING:
    from sessile.server.realtime.connection import Connection

FULL_SYNCS_MAX: Final = 10
FULL_SYNCS_PER_S: Final = 10.0
"""A socket gets at most `FULL_SYNCS_MAX` snapshots on request within this time: they are the costly answer."""


class Commands:
    """Runs frames one after the other. Changes go on their way without waiting; what must see them waits for their answers."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._documents = connection.documents
        self._full_syncs: deque[float] = deque()
        self._opened: list[tuple[Subscription, Opened, frames.Wanted]] = []

    async def run(self, frame: frames.ClientFrame) -> None:
        """Raises SessileError for what the frame asked and did not get."""
        named = frame.named_session
        if named is not None and named != self._connection.session.session_id:
            raise SessionNotFound
        match frame:
            case frames.Change():
                await self._change(frame)
            case frames.RequestSync():
                await self._request_sync(frame)
            case frames.Subscribe():
                entries = await self.open(frame.documents)
                await self._connection.outbox.put(messages.subscribed(frame.request_id, entries))
                await self.load()
            case frames.Unsubscribe():
                self._connection.forget(frame.document_id)
            case frames.Checkpoint():
                await self._checkpoint(frame)
            case frames.Restore():
                await self._restore(frame)
            case frames.Presence():
                self._connection.attendance.show(visible=frame.visible, tabs=frame.tabs)
            case frames.Pong():
                self._connection.attendance.seen()
                self._connection.hub.round_trips.ponged(self._connection)
            case frames.Hello():
                raise MalformedFrame("There is one hello, and it comes first.")

    async def open(self, documents: Sequence[frames.Wanted]) -> list[dict[str, Any]]:
        """OPENED of each wanted document. Raises StoreUnavailable; what concerns one document only is in its entry."""
        return [await self._open_one(wanted) for wanted in documents]

    async def platform(self, asked: str | None) -> tuple[Platform | None, PlatformRefused | None]:
        """What the welcome shows: the tab's own platform, or the session's. One that is refused is no reason to keep the documents back; the
        peer is told and sees in the welcome where it is."""
        manager, session, refused = self._connection.hub.manager, self._connection.session, None
        if asked is not None and session.user_id is not None:
            try:
                return await manager.check_platform(session.user_id, asked), None
            except PlatformRefused as error:
                refused = error
        return await manager.get_session_platform(session), refused

    async def load(self) -> None:
        """Sends snapshot or delta of every document that was opened and not yet loaded, then what others have it open."""
        opened_now, self._opened = self._opened, []
        for subscription, opened, wanted in opened_now:
            if self._connection.subscriptions.get(subscription.document_id) is not subscription:
                continue  # named twice: the later one counts
            position = (
                (wanted.epoch, wanted.version) if wanted.epoch is not None and wanted.version is not None else None
            )
            try:
                await subscription.load(opened, position, read_before_joining=wanted.document_id is None)
            except DocumentNotFound as error:
                self._connection.lost(subscription, error)
                continue
            await subscription.channel.around.known()
            self._connection.attendance.enter(subscription)
            state = messages.presence_state(subscription.document_id, subscription.channel.presence.state())
            await self._connection.outbox.put(state)

    async def _open_one(self, wanted: frames.Wanted) -> dict[str, Any]:
        connection = self._connection
        subscription: Subscription | None = None
        try:
            if wanted.document_id is not None:
                # Joined before it is read, so that nothing committed during the read is missed.
                subscription = self._join(wanted.document_id)
                opened = await self._documents.open_by_id(connection.actor, wanted.document_id)
            else:
                opened = await self._open_by_name(wanted)
                subscription = self._join(opened.document.document_id)
        except SessileError as error:
            if subscription is not None:
                connection.forget(subscription.document_id)
            if error.retryable and not isinstance(error, TooMany):
                raise
            return messages.refused_entry(error, document_id=wanted.document_id, name=wanted.name)
        subscription.device_no = opened.device_no
        self._opened.append((subscription, opened, wanted))
        return messages.opened_entry(opened)

    async def _open_by_name(self, wanted: frames.Wanted) -> Opened:
        default = wanted.default
        if default is not None:
            default = check_value(default, "/default")
        return await self._documents.open(self._connection.actor, wanted.name or "", default=default)

    def _join(self, document_id: str) -> Subscription:
        """A fresh subscription; an older one of this socket to the same document is replaced."""
        connection = self._connection
        connection.forget(document_id)
        if len(connection.subscriptions) >= DOCUMENTS_PER_SOCKET_MAX:
            raise TooMany(f"More than {DOCUMENTS_PER_SOCKET_MAX} documents on one socket.")
        return connection.subscribe(document_id)

    async def _change(self, frame: frames.Change) -> None:
        connection = self._connection
        changes = parse_changes(frame.changes, device_id=connection.device_id)
        await connection.submissions.submit(Submission(frame.document_id, changes, connection.actor))
        await connection.note_activity()

    async def _request_sync(self, frame: frames.RequestSync) -> None:
        subscription = self._connection.subscriptions.get(frame.document_id)
        if subscription is None:
            raise DocumentNotFound
        if frame.epoch is not None and frame.version is not None:
            await subscription.resync((frame.epoch, frame.version))
            return
        self._count_full_sync()
        await subscription.resync(None)

    def _count_full_sync(self) -> None:
        now = asyncio.get_running_loop().time()
        while self._full_syncs and self._full_syncs[0] <= now - FULL_SYNCS_PER_S:
            self._full_syncs.popleft()
        if len(self._full_syncs) >= FULL_SYNCS_MAX:
            raise TooMany("Too many snapshots at a time. Ask with your position, or wait.")
        self._full_syncs.append(now)

    async def _checkpoint(self, frame: frames.Checkpoint) -> None:
        connection = self._connection
        await connection.submissions.idle()  # what this socket sent before belongs into the checkpoint
        connection.news.answering_checkpoint(frame.request_id)
        checkpoint = await self._documents.checkpoint(
            connection.actor,
            frame.document_id,
            label=frame.label,
            kind=CheckpointKind(frame.kind),
            step=frame.step,
            request_id=frame.request_id,
        )
        epoch = await self._epoch_of(frame.document_id)
        await connection.outbox.put(messages.checkpoint_saved(checkpoint, epoch, frame.request_id))
        await connection.note_activity()

    async def _epoch_of(self, document_id: str) -> str:
        subscription = self._connection.subscriptions.get(document_id)
        if subscription is not None and subscription.epoch:
            return subscription.epoch
        return (await self._documents.get(self._connection.actor, document_id)).epoch

    async def _restore(self, frame: frames.Restore) -> None:
        connection = self._connection
        check_pointers(frame.paths)
        await connection.submissions.idle()  # changes sent before the restore are made before it
        with connection.news.answering_restore(frame.document_id) as answered:
            restored = await self._documents.restore(
                connection.actor,
                frame.document_id,
                frame.checkpoint_id,
                paths=frame.paths,
                dry_run=frame.dry_run,
                expected_version=frame.version,
            )
            if frame.dry_run:
                body = messages.restore_preview_body(restored)
            else:
                body = messages.session_restored_body(restored)
                answered(body["version"])
        await connection.outbox.put(messages.encode({**body, "request_id": frame.request_id}))
        if not frame.dry_run:
            await connection.note_activity()


def check_pointers(paths: Sequence[str] | None) -> None:
    """Raises InvalidChange for a path that is not a JSON Pointer."""
    for index, path in enumerate(paths or ()):
        try:
            parse_pointer(path)
        except ValueError as error:
            raise InvalidChange(f"/paths/{index}", str(error)) from None
