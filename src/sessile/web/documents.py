"""`session.documents`: the documents of whoever the session stands for."""

from __future__ import annotations

import builtins
from collections.abc import Awaitable, Mapping, Sequence
from typing import Any, Protocol

from sessile.engine.history import NOW, Point
from sessile.model.activity import ActivityPage
from sessile.model.audit import AuditEvent
from sessile.model.document import (
    Actor,
    Checkpoint,
    CheckpointKind,
    Conflict,
    Difference,
    Document,
    LoggedChange,
    Operation,
    Restored,
    State,
)
from sessile.model.errors import DocumentNotFound
from sessile.model.presence import DeviceStanding
from sessile.runtime.documents import AsyncDocuments
from sessile.web.lanes import in_lane


class ActorSource(Protocol):
    """What the documents need of a session."""

    def document_actor(self) -> Actor | None:
        """Who asks; None for an anonymous visitor of whom nothing is kept."""
        ...

    async def document_owner(self) -> Actor:
        """The same for somebody who is about to own a document: the anonymous session is made if need be."""
        ...


class SessionDocuments:
    """Bound to the session's user, or to the anonymous session itself. Verbs are awaited in `async def` handlers and called plainly in `def`
    handlers. A foreign id is DocumentNotFound like an unknown one; StoreUnavailable can come from each."""

    def __init__(self, documents: AsyncDocuments, source: ActorSource) -> None:
        self._documents = documents
        self._source = source

    def open(self, name: str, *, default: State | None = None, kind: str | None = None) -> Awaitable[Document]:
        """The document of that name, made with `default` if there is none, of `kind` or of the kind that claims its name. An anonymous visitor gets a session with it."""

        async def work() -> Document:
            owner = await self._source.document_owner()
            return (await self._documents.open(owner, name, default=default, kind=kind)).document

        return in_lane(work)

    def get(self, document_id: str) -> Awaitable[Document]:
        """The document with its state."""
        return in_lane(lambda: self._documents.get(self._actor(), document_id))

    def list(self) -> Awaitable[builtins.list[Document]]:
        """The active documents, latest activity first."""

        async def work() -> builtins.list[Document]:
            actor = self._source.document_actor()
            return await self._documents.list(actor) if actor is not None else []

        return in_lane(work)

    def change(
        self,
        document_id: str,
        operations: Sequence[Operation],
        *,
        base_version: int | None = None,
        idempotency_key: str | None = None,
    ) -> Awaitable[LoggedChange]:
        """A change by the application; pages that have the document open see it at once. Raises ChangeRejected, InvalidChange."""
        return in_lane(
            lambda: self._documents.change(
                self._actor(), document_id, operations, base_version=base_version, idempotency_key=idempotency_key
            )
        )

    def log(
        self, document_id: str, *, before: int | None = None, limit: int = 100
    ) -> Awaitable[Sequence[LoggedChange]]:
        """Lines of the log, newest first."""
        return in_lane(lambda: self._documents.log(self._actor(), document_id, before=before, limit=limit))

    def conflicts(self, document_id: str) -> Awaitable[Sequence[Conflict]]:
        """The open ones."""
        return in_lane(lambda: self._documents.conflicts(self._actor(), document_id))

    def checkpoint(
        self,
        document_id: str,
        *,
        label: str = "",
        kind: CheckpointKind = CheckpointKind.MANUAL,
        step: int | None = None,
        request_id: str | None = None,
    ) -> Awaitable[Checkpoint]:
        """A snapshot of now. The same request_id gives the same checkpoint."""
        return in_lane(
            lambda: self._documents.checkpoint(
                self._actor(), document_id, label=label, kind=kind, step=step, request_id=request_id
            )
        )

    def checkpoints(self, document_id: str) -> Awaitable[Sequence[Checkpoint]]:
        """Newest first, without their states."""
        return in_lane(lambda: self._documents.checkpoints(self._actor(), document_id))

    def restore(
        self,
        document_id: str,
        checkpoint_id: str,
        *,
        paths: Sequence[str] | None = None,
        dry_run: bool = False,
        expected_version: int | None = None,
    ) -> Awaitable[Restored]:
        """Back to a checkpoint, whole or the chosen paths only. Raises CheckpointNotFound, VersionConflict."""
        return in_lane(
            lambda: self._documents.restore(
                self._actor(),
                document_id,
                checkpoint_id,
                paths=paths,
                dry_run=dry_run,
                expected_version=expected_version,
            )
        )

    def rename(self, document_id: str, name: str) -> Awaitable[Document]:
        """Raises VersionConflict when the name is taken."""
        return in_lane(lambda: self._documents.rename(self._actor(), document_id, name))

    def fork(
        self, document_id: str, name: str, *, at_version: int | None = None, checkpoint_id: str | None = None
    ) -> Awaitable[Document]:
        """A new document with the state that this one has, or had. Raises VersionConflict when the name is taken."""
        return in_lane(
            lambda: self._documents.fork(
                self._actor(), document_id, name, at_version=at_version, checkpoint_id=checkpoint_id
            )
        )

    def diff(self, document_id: str, a: Point, b: Point = NOW) -> Awaitable[Sequence[Difference]]:
        """Where the states at two points (a version, the id of a checkpoint, "now") differ."""
        return in_lane(lambda: self._documents.diff(self._actor(), document_id, a, b))

    def activity(self, document_id: str, *, before: str | None = None, limit: int = 100) -> Awaitable[ActivityPage]:
        """Changes, checkpoints and events of the document in one list, newest first."""
        return in_lane(lambda: self._documents.activity(self._actor(), document_id, before=before, limit=limit))

    def log_activity(
        self, document_id: str, event_type: str, data: Mapping[str, Any] | None = None
    ) -> Awaitable[AuditEvent]:
        """Adds an event of the application's own, of a type `app.*`. Raises InvalidChange."""
        return in_lane(lambda: self._documents.log_activity(self._actor(), document_id, event_type, data))

    def devices(self, document_id: str) -> Awaitable[Sequence[DeviceStanding]]:
        """Every device that has ever opened the document: whether it is connected now, and how far behind it is."""
        return in_lane(lambda: self._documents.devices(self._actor(), document_id))

    def archive(self, document_id: str) -> Awaitable[None]:
        """Takes it out of the list and frees its name; nothing is deleted."""
        return in_lane(lambda: self._documents.archive(self._actor(), document_id))

    def _actor(self) -> Actor:
        actor = self._source.document_actor()
        if actor is None:
            raise DocumentNotFound
        return actor
