"""`session.documents` in blocking frameworks."""

from __future__ import annotations

import builtins
from collections.abc import Mapping, Sequence
from typing import Any

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
from sessile.runtime.blocking_documents import Documents
from sessile.runtime.lane import drive
from sessile.web.documents import ActorSource


class BlockingSessionDocuments:
    """Bound to the session's user, or to the anonymous session itself. A foreign id is DocumentNotFound like an unknown one; StoreUnavailable can come from each."""

    def __init__(self, documents: Documents, source: ActorSource) -> None:
        self._documents = documents
        self._source = source

    def open(self, name: str, *, default: State | None = None, kind: str | None = None) -> Document:
        """The document of that name, made with `default` if there is none, of `kind` or of the kind that claims its name. An anonymous visitor gets a session with it."""
        owner = drive(self._source.document_owner())
        return self._documents.open(owner, name, default=default, kind=kind).document

    def get(self, document_id: str) -> Document:
        """The document with its state."""
        return self._documents.get(self._actor(), document_id)

    def list(self, *, archived: bool = False) -> builtins.list[Document]:
        """The active documents, or the archived ones, latest activity first."""
        actor = self._source.document_actor()
        return self._documents.list(actor, archived=archived) if actor is not None else []

    def change(
        self,
        document_id: str,
        operations: Sequence[Operation],
        *,
        base_version: int | None = None,
        idempotency_key: str | None = None,
    ) -> LoggedChange:
        """A change by the application; pages that have the document open see it at once. Raises ChangeRejected, InvalidChange."""
        return self._documents.change(
            self._actor(), document_id, operations, base_version=base_version, idempotency_key=idempotency_key
        )

    def log(self, document_id: str, *, before: int | None = None, limit: int = 100) -> Sequence[LoggedChange]:
        """Lines of the log, newest first."""
        return self._documents.log(self._actor(), document_id, before=before, limit=limit)

    def conflicts(self, document_id: str) -> Sequence[Conflict]:
        """The open ones."""
        return self._documents.conflicts(self._actor(), document_id)

    def checkpoint(
        self,
        document_id: str,
        *,
        label: str = "",
        kind: CheckpointKind = CheckpointKind.MANUAL,
        step: int | None = None,
        request_id: str | None = None,
    ) -> Checkpoint:
        """A snapshot of now. The same request_id gives the same checkpoint."""
        return self._documents.checkpoint(
            self._actor(), document_id, label=label, kind=kind, step=step, request_id=request_id
        )

    def checkpoints(self, document_id: str) -> Sequence[Checkpoint]:
        """Newest first, without their states."""
        return self._documents.checkpoints(self._actor(), document_id)

    def restore(
        self,
        document_id: str,
        checkpoint_id: str,
        *,
        paths: Sequence[str] | None = None,
        dry_run: bool = False,
        expected_version: int | None = None,
    ) -> Restored:
        """Back to a checkpoint, whole or the chosen paths only. Raises CheckpointNotFound, VersionConflict."""
        return self._documents.restore(
            self._actor(),
            document_id,
            checkpoint_id,
            paths=paths,
            dry_run=dry_run,
            expected_version=expected_version,
        )

    def rename(self, document_id: str, name: str) -> Document:
        """Raises VersionConflict when the name is taken."""
        return self._documents.rename(self._actor(), document_id, name)

    def fork(
        self, document_id: str, name: str, *, at_version: int | None = None, checkpoint_id: str | None = None
    ) -> Document:
        """A new document with the state that this one has, or had. Raises VersionConflict when the name is taken."""
        return self._documents.fork(
            self._actor(), document_id, name, at_version=at_version, checkpoint_id=checkpoint_id
        )

    def diff(self, document_id: str, a: Point, b: Point = NOW) -> Sequence[Difference]:
        """Where the states at two points (a version, the id of a checkpoint, "now") differ."""
        return self._documents.diff(self._actor(), document_id, a, b)

    def activity(self, document_id: str, *, before: str | None = None, limit: int = 100) -> ActivityPage:
        """Changes, checkpoints and events of the document in one list, newest first."""
        return self._documents.activity(self._actor(), document_id, before=before, limit=limit)

    def log_activity(self, document_id: str, event_type: str, data: Mapping[str, Any] | None = None) -> AuditEvent:
        """Adds an event of the application's own, of a type `app.*`. Raises InvalidChange."""
        return self._documents.log_activity(self._actor(), document_id, event_type, data)

    def unarchive(self, document_id: str) -> Document:
        """Puts it back into the list. Raises VersionConflict when another document has its name by now."""
        return self._documents.unarchive(self._actor(), document_id)

    def claim(self) -> Sequence[Document]:
        """What this browser made before somebody logged in becomes the user's, where a login does not do that by itself (`claim_on_login`)."""
        return self._documents.claim(self._actor())

    def devices(self, document_id: str) -> Sequence[DeviceStanding]:
        """Every device that has ever opened the document: whether it is connected now, and how far behind it is."""
        return self._documents.devices(self._actor(), document_id)

    def archive(self, document_id: str) -> None:
        """Takes it out of the list and frees its name; nothing is deleted."""
        return self._documents.archive(self._actor(), document_id)

    def _actor(self) -> Actor:
        actor = self._source.document_actor()
        if actor is None:
            raise DocumentNotFound
        return actor
