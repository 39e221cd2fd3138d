"""The blocking twin of `AsyncDocuments`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sessile.engine.history import NOW, Point
from sessile.model.activity import ActivityPage
from sessile.model.audit import AuditEvent
from sessile.model.backup import Backup
from sessile.model.document import (
    Actor,
    Checkpoint,
    CheckpointKind,
    Conflict,
    Delta,
    Difference,
    Document,
    LoggedChange,
    Opened,
    Operation,
    Outcome,
    Restored,
    State,
    Submission,
)
from sessile.model.presence import DeviceStanding
from sessile.runtime.assemble import Engines
from sessile.runtime.documents import AsyncDocuments, Submit
from sessile.runtime.group_commit import Probe
from sessile.runtime.lane import drive


class Documents:
    """Everything an actor can do with documents; see `AsyncDocuments`, whose twin this is."""

    def __init__(self, engines: Engines, submit: Submit, probe: Probe) -> None:
        self._twin = AsyncDocuments(engines, submit, probe)

    def open(self, actor: Actor, name: str, *, default: State | None = None, kind: str | None = None) -> Opened:
        """The actor's document of that name, made with `default` if there is none."""
        return drive(self._twin.open(actor, name, default=default, kind=kind))

    def open_by_id(self, actor: Actor, document_id: str) -> Opened:
        """The same for a document that is known by its id."""
        return drive(self._twin.open_by_id(actor, document_id))

    def get(self, actor: Actor, document_id: str) -> Document:
        """The document with its state."""
        return drive(self._twin.get(actor, document_id))

    def list(self, actor: Actor, *, archived: bool = False) -> list[Document]:
        """The actor's active documents, or the archived ones, latest activity first."""
        return drive(self._twin.list(actor, archived=archived))

    def submit(self, submission: Submission) -> Outcome:
        """Changes of a device, in seq order; returns after the commit."""
        return drive(self._twin.submit(submission))

    def change(
        self,
        actor: Actor,
        document_id: str,
        operations: Sequence[Operation],
        *,
        base_version: int | None = None,
        idempotency_key: str | None = None,
    ) -> LoggedChange:
        """A change by server code. Raises ChangeRejected, InvalidChange."""
        return drive(
            self._twin.change(
                actor, document_id, operations, base_version=base_version, idempotency_key=idempotency_key
            )
        )

    def since(self, actor: Actor, document_id: str, *, epoch: str | None, version: int | None) -> Delta:
        """What happened since a position: contiguous changes, or a snapshot."""
        return drive(self._twin.since(actor, document_id, epoch=epoch, version=version))

    def log(
        self, actor: Actor, document_id: str, *, before: int | None = None, limit: int = 100
    ) -> Sequence[LoggedChange]:
        """Lines of the log, newest first."""
        return drive(self._twin.log(actor, document_id, before=before, limit=limit))

    def conflicts(self, actor: Actor, document_id: str) -> Sequence[Conflict]:
        """The open ones."""
        return drive(self._twin.conflicts(actor, document_id))

    def checkpoint(
        self,
        actor: Actor,
        document_id: str,
        *,
        label: str = "",
        kind: CheckpointKind = CheckpointKind.MANUAL,
        step: int | None = None,
        request_id: str | None = None,
        version: int | None = None,
    ) -> Checkpoint:
        """A snapshot of now, or of an earlier `version` to go back to. The same request_id gives the same checkpoint. Raises InvalidChange, VersionNotKept."""
        return drive(
            self._twin.checkpoint(
                actor, document_id, label=label, kind=kind, step=step, request_id=request_id, version=version
            )
        )

    def checkpoints(self, actor: Actor, document_id: str) -> Sequence[Checkpoint]:
        """Newest first, without their states."""
        return drive(self._twin.checkpoints(actor, document_id))

    def restore(
        self,
        actor: Actor,
        document_id: str,
        checkpoint_id: str,
        *,
        paths: Sequence[str] | None = None,
        dry_run: bool = False,
        expected_version: int | None = None,
    ) -> Restored:
        """Back to a checkpoint, as a new version. Raises CheckpointNotFound, VersionConflict."""
        return drive(
            self._twin.restore(
                actor, document_id, checkpoint_id, paths=paths, dry_run=dry_run, expected_version=expected_version
            )
        )

    def rename(self, actor: Actor, document_id: str, name: str) -> Document:
        """Raises VersionConflict when the name is taken."""
        return drive(self._twin.rename(actor, document_id, name))

    def fork(
        self,
        actor: Actor,
        document_id: str,
        name: str,
        *,
        at_version: int | None = None,
        checkpoint_id: str | None = None,
    ) -> Document:
        """A new document of the actor with the state that this one has, or had. Raises VersionConflict, VersionNotKept, CheckpointNotFound."""
        return drive(self._twin.fork(actor, document_id, name, at_version=at_version, checkpoint_id=checkpoint_id))

    def diff(self, actor: Actor, document_id: str, a: Point, b: Point = NOW) -> Sequence[Difference]:
        """Where the states at two points (a version, the id of a checkpoint, "now") differ."""
        return drive(self._twin.diff(actor, document_id, a, b))

    def export_document(self, actor: Actor, document_id: str) -> dict[str, Any]:
        """The document with its log, checkpoints and open conflicts as a JSON value."""
        return drive(self._twin.export_document(actor, document_id))

    def import_document(self, actor: Actor, exported: Mapping[str, Any], *, name: str | None = None) -> Document:
        """A new document of the actor with what an export holds. Raises ExportDamaged."""
        return drive(self._twin.import_document(actor, exported, name=name))

    def activity(self, actor: Actor, document_id: str, *, before: str | None = None, limit: int = 100) -> ActivityPage:
        """Changes, checkpoints and events of the document in one list, newest first."""
        return drive(self._twin.activity(actor, document_id, before=before, limit=limit))

    def log_activity(
        self, actor: Actor, document_id: str, event_type: str, data: Mapping[str, Any] | None = None
    ) -> AuditEvent:
        """Adds an event of the application's own, of a type `app.*`."""
        return drive(self._twin.log_activity(actor, document_id, event_type, data))

    def devices(self, actor: Actor, document_id: str) -> Sequence[DeviceStanding]:
        """Every device that has ever opened the document: whether it is connected now, and how far behind it is."""
        return drive(self._twin.devices(actor, document_id))

    def compact(self) -> int:
        """Forgets old lines of some documents' logs; how many. Call it now and then: there is no background work here."""
        return drive(self._twin.compact())

    def restore_backup(self, actor: Actor, document_id: str, backup: Backup) -> LoggedChange | None:
        """What a browser kept of a document, as ordinary changes. Raises InvalidChange, ChangeRejected."""
        return drive(self._twin.restore_backup(actor, document_id, backup))

    def unarchive(self, actor: Actor, document_id: str) -> Document:
        """Puts it back into the list. Raises VersionConflict when another document has its name by now."""
        return drive(self._twin.unarchive(actor, document_id))

    def claim(self, actor: Actor) -> Sequence[Document]:
        """What the actor's session made before somebody logged in becomes the user's. Raises AuthenticationRequired."""
        return drive(self._twin.claim(actor))

    def archive(self, actor: Actor, document_id: str) -> None:
        """Takes it out of the list and frees its name; nothing is deleted."""
        drive(self._twin.archive(actor, document_id))
