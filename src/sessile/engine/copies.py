"""Documents made of documents: a fork of any point that is kept, an export, and the way back from one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from sessile.engine.documents import check_name, document_event, insert_document, spend_document
from sessile.engine.history import NOW, Point, at_head, moved, point_at, state_at
from sessile.engine.kinds import check_name_of_kind, check_new_state, upgraded_state
from sessile.engine.limits import NO_QUOTA, Quota
from sessile.engine.ownership import admit, find, find_for_change
from sessile.model import token as tokens
from sessile.model.canonical import json_equal
from sessile.model.document import Actor, Checkpoint, Document, DocumentDevice, LogBase, Owner
from sessile.model.errors import ExportDamaged, InvalidChange, VersionConflict
from sessile.model.kind import NO_KINDS, Kinds
from sessile.model.limits import EXPORTED_CHANGES_MAX, EXPORTED_CHECKPOINTS_MAX
from sessile.model.operations import OperationFault
from sessile.model.transfer import Imported, check_hash, exported, imported
from sessile.ports import Clock, Random, Store, Transaction

_HASHES_CHECKED: Final = 16
"""A made-up export could name a hash for every line; each costs a walk through the whole state."""


class CopyEngine:
    """Fork, export, import. Raises DocumentNotFound for what is not the actor's, VersionConflict for a name that is taken."""

    def __init__(
        self, store: Store, clock: Clock, random: Random, kinds: Kinds = NO_KINDS, quota: Quota = NO_QUOTA
    ) -> None:
        self._quota = quota
        self._store = store
        self._clock = clock
        self._random = random
        self._kinds = kinds

    async def fork(
        self, actor: Actor, document_id: str, name: str, at_version: int | None, checkpoint_id: str | None
    ) -> Document:
        """A new document of the actor (for the system: of the same owner) with the state that the other one has or had. Its log is its own.

        Raises CheckpointNotFound, VersionNotKept; InvalidChange for a name that cannot be or belongs to another kind, or for two points.
        """
        check_name(name)
        if at_version is not None and checkpoint_id is not None:
            raise InvalidChange("/at_version", "either a version or a checkpoint")
        point = checkpoint_id if checkpoint_id is not None else NOW if at_version is None else at_version
        # A past state does not change any more, so the writers need not wait while it is rebuilt.
        origin = None if point == NOW else await self._store.read(_origin, actor, document_id, point)
        return await self._store.write(self._fork, actor, document_id, name, origin)

    async def export(self, actor: Actor, document_id: str) -> dict[str, Any]:
        """The document, its log as far as it is kept (at most EXPORTED_CHANGES_MAX lines), checkpoints and open conflicts as a JSON value."""
        return await self._store.read(_export, actor, document_id)

    async def import_(self, actor: Actor, raw: Mapping[str, Any], name: str | None) -> Document:
        """A new document of the actor with everything that an export holds. Raises ExportDamaged, SchemaUnknown for a kind that is not known
        here, SchemaUpgradeFailed, and InvalidChange for a name that cannot be or a state that is not of its kind."""
        now = self._clock.now()
        # Inside a read, because that is where a store has its threads: checking a large export takes its time.
        source = await self._store.read(self._checked, raw, name, now)
        return await self._store.write(self._import, actor, source, name if name is not None else source.name, now)

    def _checked(self, _tx: Transaction, raw: Mapping[str, Any], name: str | None, now: datetime) -> Imported:
        source = imported(raw, self._new_id(now), lambda: self._new_id(now))
        follow(source)
        name = name if name is not None else source.name
        check_name(name)
        check_name_of_kind(self._kinds, name, source.schema_name)
        rules = self._kinds.of_schema(source.schema_name, source.schema_version)
        shown = source.state if rules is None else upgraded_state(rules, source.state, source.schema_version)
        check_new_state(rules, shown, "/document/state")
        return source

    # -- inside a transaction -------------------------------------------------------------------------------------------------------

    def _fork(self, tx: Transaction, actor: Actor, document_id: str, name: str, origin: LogBase | None) -> Document:
        now = self._clock.now()
        source = find_for_change(tx, actor, document_id, now)
        check_name_of_kind(self._kinds, name, source.schema_name)
        origin = origin or at_head(source)
        owner = source.owner if actor.is_system else actor.owner
        _check_free(tx, owner, name)
        fork = Document(
            document_id=self._new_id(now),
            owner=owner,
            name=name,
            state=origin.state,
            epoch=self._random.token_bytes(8).hex(),
            schema_name=source.schema_name,
            schema_version=origin.schema_version,
            created_at=now,
            updated_at=now,
            last_activity_at=now,
        )
        spend_document(tx, self._quota, actor, now)
        insert_document(tx, fork, actor, now, forked_from=document_id, version=origin.version)
        tx.audit(
            [
                document_event(
                    source, "document_forked", now, actor, fork_id=fork.document_id, name=name, version=origin.version
                )
            ]
        )
        return fork

    def _import(self, tx: Transaction, actor: Actor, source: Imported, name: str, now: datetime) -> Document:
        admit(tx, actor, now)
        _check_free(tx, actor.owner, name)
        document = Document(
            document_id=source.base.document_id,
            owner=actor.owner,
            name=name,
            state=source.state,
            version=source.version,
            state_version=source.version,
            epoch=self._random.token_bytes(8).hex(),
            generation=source.generation,
            schema_name=source.schema_name,
            schema_version=source.schema_version,
            created_at=min(source.created_at, now),
            updated_at=now,
            last_activity_at=now,
            checkpoint_version=source.version,
        )
        spend_document(tx, self._quota, actor, now)
        insert_document(tx, document, actor, now, source.base, imported_version=source.version)
        tx.documents.insert_changes([replace(line, created_at=min(line.created_at, now)) for line in source.log])
        tx.documents.put_conflicts([replace(c, opened_at=min(c.opened_at, now)) for c in source.conflicts])
        for checkpoint in source.checkpoints:
            tx.documents.insert_checkpoint(replace(checkpoint, created_at=min(checkpoint.created_at, now)))
        tx.documents.put_devices(self._elsewhere(source, now))
        return document

    def _elsewhere(self, source: Imported, now: datetime) -> list[DocumentDevice]:
        """The highest device number of the history is given away, so that no device here is taken for one there."""
        highest = max(
            [
                *(line.device_no for line in source.log),
                *(checkpoint.device_no or 0 for checkpoint in source.checkpoints),
                *(number for c in source.conflicts for number in (c.winner_device_no, c.loser_device_no)),
            ],
            default=0,
        )
        if not highest:
            return []
        return [
            DocumentDevice(
                document_id=source.base.document_id,
                device_id=self._new_id(now),
                device_no=highest,
                last_active_at=now,
            )
        ]

    def _new_id(self, now: datetime) -> str:
        return tokens.uuid7(now, self._random.token_bytes(10))


def follow(source: Imported) -> None:
    """Walks the log. Raises ExportDamaged unless it leads from its beginning to the document's state, by way of the newest hashes in it."""
    point = source.base
    hashed = [line.version for line in source.log if line.state_hash is not None][-_HASHES_CHECKED:]
    try:
        for line in source.log:
            point = moved(point, [line])
            if line.version in hashed:
                check_hash(line, point.state)
    except (OperationFault, KeyError, TypeError, ValueError) as error:
        raise ExportDamaged(f"version {point.version + 1} cannot follow version {point.version} ({error})") from None
    ends = (point.generation, point.schema_version) == (source.generation, source.schema_version)
    if not ends or not json_equal(point.state, source.state):
        raise ExportDamaged("the log does not lead to the state")


def _check_free(tx: Transaction, owner: Owner, name: str) -> None:
    if tx.documents.by_name(owner, name) is not None:
        raise VersionConflict({"name": name}, "There is another document of that name.")


def _origin(tx: Transaction, actor: Actor, document_id: str, point: Point) -> LogBase:
    return point_at(tx, find(tx, actor, document_id), point)


def _export(tx: Transaction, actor: Actor, document_id: str) -> dict[str, Any]:
    document = find(tx, actor, document_id)
    base = tx.documents.log_base(document_id)
    first = max(document.version - EXPORTED_CHANGES_MAX, base.version if base is not None else document.version)
    start = state_at(tx, document, first)
    log = tx.documents.changes(document_id, after=first)
    checkpoints = _whole(tx, document_id, tx.documents.checkpoints(document_id)[:EXPORTED_CHECKPOINTS_MAX])
    return exported(document, start, log, checkpoints, tx.documents.open_conflicts(document_id))


def _whole(tx: Transaction, document_id: str, listed: Sequence[Checkpoint]) -> list[Checkpoint]:
    found = (tx.documents.checkpoint(document_id, checkpoint.checkpoint_id) for checkpoint in listed)
    return [checkpoint for checkpoint in found if checkpoint is not None]
