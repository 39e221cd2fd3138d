"""Checkpoints: immutable snapshots to go back to, each whole in itself, so that removing one never breaks another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from sessile.engine.history import at_head, state_at
from sessile.engine.kinds import as_shown, brought_up_to_date, rejected, upgraded_state
from sessile.engine.ownership import find, find_for_change
from sessile.model import token as tokens
from sessile.model.audit import AuditEvent
from sessile.model.canonical import state_hash
from sessile.model.difference import differences, restored_state
from sessile.model.document import (
    PASSING_CHECKPOINTS,
    Actor,
    Checkpoint,
    CheckpointKind,
    Difference,
    Document,
    LogBase,
    LoggedChange,
    Operation,
    Restored,
    State,
    Verdict,
)
from sessile.model.errors import ChangeRejected, CheckpointNotFound, DocumentNotFound, InvalidChange, VersionConflict
from sessile.model.events import Event, EventKind
from sessile.model.kind import NO_KINDS, KindRules, Kinds
from sessile.model.limits import CHECKPOINTS_AUTOMATIC_KEPT, HASH_EVERY_VERSIONS, LABEL_LENGTH_MAX
from sessile.model.operations import OperationFault
from sessile.model.pointer import parse
from sessile.ports import Clock, Random, Store, Transaction


class CheckpointEngine:
    """Make, list, restore. Raises DocumentNotFound and CheckpointNotFound."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        random: Random,
        kinds: Kinds = NO_KINDS,
        kept: int = CHECKPOINTS_AUTOMATIC_KEPT,
    ) -> None:
        self._kept = kept
        self._store = store
        self._clock = clock
        self._random = random
        self._kinds = kinds

    async def create(
        self,
        actor: Actor,
        document_id: str,
        label: str,
        kind: CheckpointKind,
        step: int | None,
        request_id: str | None,
        version: int | None = None,
    ) -> Checkpoint:
        """A snapshot of now, or of an earlier `version`. The same request_id gives the same checkpoint. Raises InvalidChange, VersionNotKept."""
        if len(label) > LABEL_LENGTH_MAX:
            raise InvalidChange("/label", f"a label has at most {LABEL_LENGTH_MAX} characters")
        return await self._store.write(self._create, actor, document_id, label, kind, step, request_id, version)

    async def automatic(self, active_within: timedelta, limit: int) -> int:
        """Takes automatic checkpoints of documents that changed since their last one; how many."""
        since = self._clock.now() - active_within
        document_ids = await self._store.read(_needing, since, limit)
        taken = 0
        for document_id in document_ids:
            taken += await self._store.write(self._automatic, document_id)
        return taken

    async def list(self, actor: Actor, document_id: str) -> list[Checkpoint]:
        """Newest first, without their states."""
        return await self._store.read(_list, actor, document_id)

    async def restore(
        self,
        actor: Actor,
        document_id: str,
        checkpoint_id: str,
        paths: Sequence[str] | None,
        expected_version: int | None,
        *,
        dry_run: bool,
    ) -> Restored:
        """Back to a checkpoint, whole or the chosen paths only, as a new version: history is never cut.

        What stands there now is kept in a `before_restore` checkpoint of the same transaction. A dry run only tells the differences.
        Raises VersionConflict when the document is not at `expected_version` any more, InvalidChange for a path that is no pointer,
        SchemaUnknown, SchemaUpgradeFailed for a checkpoint of another version of the document's kind, and ChangeRejected when the result
        is not of it.
        """
        for index, path in enumerate(paths or ()):
            try:
                parse(path)
            except ValueError as error:
                raise InvalidChange(f"/paths/{index}", str(error)) from None
        if dry_run:
            return await self._store.read(self._preview, actor, document_id, checkpoint_id, paths)
        return await self._store.write(self._restore, actor, document_id, checkpoint_id, paths, expected_version)

    # -- inside a transaction -------------------------------------------------------------------------------------------------------

    def _create(
        self,
        tx: Transaction,
        actor: Actor,
        document_id: str,
        label: str,
        kind: CheckpointKind,
        step: int | None,
        request_id: str | None,
        version: int | None,
    ) -> Checkpoint:
        document = find_for_change(tx, actor, document_id, self._clock.now())
        if request_id is not None:
            known = tx.documents.checkpoint_by_request(document_id, request_id)
            if known is not None:
                return known
        point = None if version is None else state_at(tx, document, version)
        device_no = _device_no(tx, document, actor)
        return self._take(
            tx, document, kind, label=label, step=step, request_id=request_id, device_no=device_no, point=point
        )

    def _take(
        self,
        tx: Transaction,
        document: Document,
        kind: CheckpointKind,
        *,
        label: str = "",
        step: int | None = None,
        request_id: str | None = None,
        device_no: int | None = None,
        point: LogBase | None = None,
    ) -> Checkpoint:
        now = self._clock.now()
        at = point or at_head(document)
        checkpoint = Checkpoint(
            checkpoint_id=tokens.uuid7(now, self._random.token_bytes(10)),
            document_id=document.document_id,
            version=at.version,
            generation=at.generation,
            kind=kind,
            label=label,
            step=step,
            device_no=device_no,
            request_id=request_id,
            schema_version=at.schema_version,
            created_at=now,
            state=at.state,
        )
        tx.documents.insert_checkpoint(checkpoint)
        if at.version == document.version:
            tx.documents.update([replace(document, checkpoint_version=document.version)], with_state=[False])
        self._retain(tx, document.document_id)
        tx.emit(
            Event(
                EventKind.CHECKPOINT_SAVED,
                document.document_id,
                at.version,
                detail=checkpoint.checkpoint_id,
                epoch=document.epoch,
                checkpoint=checkpoint,
            )
        )
        return checkpoint

    def _retain(self, tx: Transaction, document_id: str) -> None:
        counted = [c for c in tx.documents.checkpoints(document_id) if c.kind in PASSING_CHECKPOINTS]
        tx.documents.delete_checkpoints([c.checkpoint_id for c in counted[self._kept :]])

    def _automatic(self, tx: Transaction, document_id: str) -> int:
        try:
            document = find(tx, Actor.system(), document_id, lock=True)
        except DocumentNotFound:
            return 0
        if document.checkpoint_version >= document.version:
            return 0
        self._take(tx, document, CheckpointKind.AUTOMATIC)
        return 1

    def _restore(
        self,
        tx: Transaction,
        actor: Actor,
        document_id: str,
        checkpoint_id: str,
        paths: Sequence[str] | None,
        expected_version: int | None,
    ) -> Restored:
        document = find_for_change(tx, actor, document_id, self._clock.now())
        if expected_version is not None and document.version != expected_version:
            raise VersionConflict({"version": document.version})
        rules = self._kinds.of_schema(document.schema_name, document.schema_version)
        device_no = _device_no(tx, document, actor)
        now = self._clock.now()
        as_it_was = document
        document, upgrade = brought_up_to_date(rules, document, now)
        checkpoint, state, operations, found = _plan(tx, document, checkpoint_id, paths, rules)
        before = self._take(tx, as_it_was, CheckpointKind.BEFORE_RESTORE, device_no=device_no)
        version = document.version + 1
        restored = replace(
            document,
            state=state,
            version=version,
            state_version=version,
            generation=document.generation + 1,
            checkpoint_version=document.version,
            updated_at=now,
            last_activity_at=now,
        )
        change = LoggedChange(
            document_id=document_id,
            version=version,
            generation=restored.generation,
            base_version=document.version,
            operations=operations,
            verdict=Verdict.APPLIED,
            device_id=actor.device_id,
            device_no=device_no or 0,
            before=[("", {})],
            state_hash=state_hash(state) if version % HASH_EVERY_VERSIONS == 0 else None,
            session_id=actor.session_id,
            created_at=now,
        )
        if upgrade is not None:
            tx.documents.insert_changes([upgrade])
            tx.emit(
                Event(
                    EventKind.DOCUMENT_CHANGED, document_id, upgrade.version, epoch=document.epoch, changes=(upgrade,)
                )
            )
        tx.documents.insert_changes([change])
        tx.documents.update([restored], with_state=[True])
        tx.audit([_event(restored, now, actor, checkpoint_id, before.checkpoint_id)])
        outcome = Restored(restored, checkpoint, before, found, [change])
        tx.emit(
            Event(
                EventKind.DOCUMENT_RESTORED,
                document_id,
                version,
                checkpoint_id,
                epoch=document.epoch,
                changes=(change,),
                restored=outcome,
            )
        )
        return outcome

    def _preview(
        self, tx: Transaction, actor: Actor, document_id: str, checkpoint_id: str, paths: Sequence[str] | None
    ) -> Restored:
        stored = find(tx, actor, document_id)
        rules = self._kinds.of_schema(stored.schema_name, stored.schema_version)
        document = as_shown(self._kinds, stored)
        checkpoint, _state, _operations, found = _plan(tx, document, checkpoint_id, paths, rules)
        return Restored(document, checkpoint, None, found)


def _plan(
    tx: Transaction, document: Document, checkpoint_id: str, paths: Sequence[str] | None, rules: KindRules | None
) -> tuple[Checkpoint, State, list[Operation], list[Difference]]:
    checkpoint = tx.documents.checkpoint(document.document_id, checkpoint_id)
    if checkpoint is None:
        raise CheckpointNotFound
    earlier = checkpoint.state
    if rules is not None:
        earlier = upgraded_state(rules, earlier, checkpoint.schema_version)
    try:
        state, operations = restored_state(document.state, earlier, paths)
    except OperationFault as fault:
        raise ChangeRejected("rejected", {"code": fault.code, "message": str(fault), "path": fault.path}) from None
    refused = rules.check(state) if rules is not None else None
    if refused is not None:
        raise rejected(refused)
    return checkpoint, state, operations, list(differences(document.state, state))


def _device_no(tx: Transaction, document: Document, actor: Actor) -> int | None:
    device = tx.documents.device(document.document_id, actor.device_id) if actor.device_id is not None else None
    return device.device_no if device is not None else None


def _needing(tx: Transaction, since: datetime, limit: int) -> list[str]:
    return tx.documents.needing_checkpoint(since, limit)


def _list(tx: Transaction, actor: Actor, document_id: str) -> list[Checkpoint]:
    return tx.documents.checkpoints(find(tx, actor, document_id).document_id)


def _event(document: Document, at: datetime, actor: Actor, checkpoint_id: str, before_id: str) -> AuditEvent:
    return AuditEvent(
        stream=f"document:{document.document_id}",
        type="document_restored",
        at=at,
        user_id=actor.user_id,
        session_id=actor.session_id,
        document_id=document.document_id,
        data={"checkpoint_id": checkpoint_id, "before_checkpoint_id": before_id, "version": document.version},
    )
