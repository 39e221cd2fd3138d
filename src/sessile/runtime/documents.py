"""The asyncio facade of documents."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

from sessile.engine.history import NOW, Point
from sessile.model.activity import ActivityPage
from sessile.model.audit import AuditEvent
from sessile.model.backup import Backup
from sessile.model.change_format import parse_operations
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
from sessile.model.errors import IdentityReused, SequenceGap
from sessile.model.presence import DeviceStanding
from sessile.runtime.assemble import Engines
from sessile.runtime.group_commit import Probe

COMPACTED_AT_ONCE: Final = 100
"""Documents whose logs are shortened in one round."""
Submit = Callable[[Submission], Awaitable[Outcome]]


class AsyncDocuments:
    """Everything an actor can do with documents. A foreign id is DocumentNotFound like an unknown one; StoreUnavailable can come from each."""

    def __init__(self, engines: Engines, submit: Submit, probe: Probe) -> None:
        self._documents = engines.documents
        self._changes = engines.changes
        self._checkpoints = engines.checkpoints
        self._history = engines.history
        self._copies = engines.copies
        self._activity = engines.activity
        self._documents_restored = engines.backups
        self._presence = engines.presence
        self._submit = submit
        self._probe = probe

    async def open(self, actor: Actor, name: str, *, default: State | None = None, kind: str | None = None) -> Opened:
        """The actor's document of that name, made with `default` if there is none. An actor with a device gets it registered. A new one is of
        `kind`, or of the kind that claims its name. Raises InvalidChange for a name, default or kind that cannot be, SchemaUnknown,
        DocumentTooLarge."""
        return await self._documents.open(actor, name, default, kind)

    async def open_by_id(self, actor: Actor, document_id: str) -> Opened:
        """The same for a document that is known by its id."""
        return await self._documents.open_by_id(actor, document_id)

    async def get(self, actor: Actor, document_id: str) -> Document:
        """The document with its state."""
        return await self._documents.get(actor, document_id)

    async def list(self, actor: Actor, *, archived: bool = False) -> list[Document]:
        """The actor's active documents, or the archived ones, latest activity first."""
        return await self._documents.list(actor, archived=archived)

    async def submit(self, submission: Submission) -> Outcome:
        """Changes of a device, in seq order; returns after the commit with their verdicts. A sequence that does not fit is in
        `outcome.error` (SequenceGap, IdentityReused) beside the verdicts of what came before it; everything else raises."""
        return checked(await self._submit(submission))

    async def change(
        self,
        actor: Actor,
        document_id: str,
        operations: Sequence[Operation],
        *,
        base_version: int | None = None,
        idempotency_key: str | None = None,
    ) -> LoggedChange:
        """A change by server code, based on what stands there now or on `base_version`. The same idempotency_key is applied once.
        Raises ChangeRejected when the verdict is rejected or conflict, InvalidChange for malformed operations."""
        checked_operations = parse_operations(list(operations))
        return await self._changes.change(actor, document_id, checked_operations, base_version, idempotency_key)

    async def since(self, actor: Actor, document_id: str, *, epoch: str | None, version: int | None) -> Delta:
        """What happened since a position: contiguous changes, or a snapshot where those are not to be had."""
        return await self._documents.since(actor, document_id, epoch, version)

    async def log(
        self, actor: Actor, document_id: str, *, before: int | None = None, limit: int = 100
    ) -> Sequence[LoggedChange]:
        """Lines of the log, newest first, below version `before` where given."""
        return await self._documents.log(actor, document_id, before, limit)

    async def conflicts(self, actor: Actor, document_id: str) -> Sequence[Conflict]:
        """The open ones."""
        return await self._documents.conflicts(actor, document_id)

    async def checkpoint(
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
        self._probe("before_checkpoint")
        checkpoint = await self._checkpoints.create(actor, document_id, label, kind, step, request_id, version)
        self._probe("after_checkpoint")
        return checkpoint

    async def checkpoints(self, actor: Actor, document_id: str) -> Sequence[Checkpoint]:
        """Newest first, without their states."""
        return await self._checkpoints.list(actor, document_id)

    async def restore(
        self,
        actor: Actor,
        document_id: str,
        checkpoint_id: str,
        *,
        paths: Sequence[str] | None = None,
        dry_run: bool = False,
        expected_version: int | None = None,
    ) -> Restored:
        """Back to a checkpoint, whole or the chosen paths only, as a new version. Raises CheckpointNotFound, VersionConflict."""
        self._probe("before_restore")
        restored = await self._checkpoints.restore(
            actor, document_id, checkpoint_id, paths, expected_version, dry_run=dry_run
        )
        self._probe("after_restore")
        return restored

    async def rename(self, actor: Actor, document_id: str, name: str) -> Document:
        """Raises VersionConflict when the name is taken."""
        return await self._documents.rename(actor, document_id, name)

    async def fork(
        self,
        actor: Actor,
        document_id: str,
        name: str,
        *,
        at_version: int | None = None,
        checkpoint_id: str | None = None,
    ) -> Document:
        """A new document of the actor with the state that this one has, or had at a version or checkpoint. Raises VersionConflict when the name
        is taken, VersionNotKept, CheckpointNotFound, InvalidChange."""
        return await self._copies.fork(actor, document_id, name, at_version, checkpoint_id)

    async def diff(self, actor: Actor, document_id: str, a: Point, b: Point = NOW) -> Sequence[Difference]:
        """Where the states at two points differ: `current` is the value at `a`, `restored` the one at `b`. A point is a version, the id of a
        checkpoint, or "now". Raises VersionNotKept, CheckpointNotFound, InvalidChange."""
        return await self._history.diff(actor, document_id, a, b)

    async def export_document(self, actor: Actor, document_id: str) -> dict[str, Any]:
        """The document with its log, checkpoints and open conflicts as a JSON value, with a hash over all of it."""
        return await self._copies.export(actor, document_id)

    async def import_document(self, actor: Actor, exported: Mapping[str, Any], *, name: str | None = None) -> Document:
        """A new document of the actor with what an export holds. Raises ExportDamaged, VersionConflict when the name is taken, SchemaUnknown,
        SchemaUpgradeFailed, InvalidChange."""
        return await self._copies.import_(actor, exported, name)

    async def activity(
        self, actor: Actor, document_id: str, *, before: str | None = None, limit: int = 100
    ) -> ActivityPage:
        """Changes, checkpoints and events of the document in one list, newest first, behind `before` where given."""
        return await self._activity.page(actor, document_id, before, limit)

    async def log_activity(
        self, actor: Actor, document_id: str, event_type: str, data: Mapping[str, Any] | None = None
    ) -> AuditEvent:
        """Adds an event of the application's own, of a type `app.*`, to the document's audit stream. Raises InvalidChange."""
        return await self._activity.log(actor, document_id, event_type, data or {})

    async def devices(self, actor: Actor, document_id: str) -> Sequence[DeviceStanding]:
        """Every device that has ever opened the document: whether it is connected now, on any process, and how far behind it is."""
        return await self._presence.of_document(actor, document_id)

    async def compact(self) -> int:
        """Forgets old lines of some documents' logs (`log_versions_kept`, `log_retention_d`); how many. The background work does it anyway."""
        return await self._history.compact(COMPACTED_AT_ONCE)

    async def restore_backup(self, actor: Actor, document_id: str, backup: Backup) -> LoggedChange | None:
        """What a browser kept of a document, as ordinary changes under the ordinary policies: what somebody else changed since is not overwritten
        silently. The same backup again changes nothing; None when it holds nothing that is not saved. Raises InvalidChange, ChangeRejected."""
        return await self._documents_restored.restore(actor, document_id, backup)

    async def unarchive(self, actor: Actor, document_id: str) -> Document:
        """Puts it back into the list. Raises VersionConflict when another document has its name by now."""
        return await self._documents.unarchive(actor, document_id)

    async def claim(self, actor: Actor) -> Sequence[Document]:
        """What the actor's session made before somebody logged in becomes the user's; a name that is taken gets a number. A login does it by
        itself (`claim_on_login`). Raises AuthenticationRequired."""
        return await self._documents.claim(actor)

    async def archive(self, actor: Actor, document_id: str) -> None:
        """Takes it out of the list and frees its name; nothing is deleted."""
        await self._documents.archive(actor, document_id)


def checked(outcome: Outcome) -> Outcome:
    """The outcome, if its error is one of a sequence; raises any other error."""
    if outcome.error is not None and not isinstance(outcome.error, SequenceGap | IdentityReused):
        raise outcome.error
    return outcome
