"""Document rows, logs, devices, conflicts and checkpoints in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sessile.model.batch import Progress, Surroundings
from sessile.model.content import ContentKind
from sessile.model.document import (
    PASSING_CHECKPOINTS,
    Checkpoint,
    Conflict,
    Document,
    DocumentDevice,
    LogBase,
    LoggedChange,
    Owner,
)
from sessile.model.errors import VersionConflict
from sessile.stores.memory.table import Table


class MemoryDocumentRows:
    def __init__(
        self,
        documents: Table[str, Document],
        logs: Table[str, tuple[LoggedChange, ...]],
        devices: Table[tuple[str, str], DocumentDevice],
        conflicts: Table[str, Conflict],
        checkpoints: Table[str, Checkpoint],
        bases: Table[str, LogBase],
    ) -> None:
        self._documents = documents
        self._logs = logs
        self._devices = devices
        self._conflicts = conflicts
        self._checkpoints = checkpoints
        self._bases = bases
        self.tables: tuple[Table[Any, Any], ...] = (documents, logs, devices, conflicts, checkpoints, bases)

    def get(self, document_id: str) -> Document | None:
        return self._documents.get(document_id)

    def get_many(self, document_ids: Sequence[str], *, lock: bool = False) -> dict[str, Document]:
        found = ((document_id, self._documents.get(document_id)) for document_id in sorted(set(document_ids)))
        return {document_id: document for document_id, document in found if document is not None}

    def versions(self, document_ids: Sequence[str], *, lock: bool = False) -> dict[str, int]:
        return {found.document_id: found.version for found in self.get_many(document_ids).values()}

    def by_name(self, owner: Owner, name: str) -> Document | None:
        return next((d for d in self._active(owner) if d.name == name), None)

    def of_owner(self, owner: Owner, *, status: str | None = "active") -> list[Document]:
        found = [d for d in self._documents.rows() if d.owner == owner and status in (None, d.status)]
        by_id = sorted(found, key=lambda document: document.document_id)
        return sorted(by_id, key=lambda document: document.last_activity_at, reverse=True)

    def ids_of_owner(self, owner: Owner, *, after: str = "", limit: int) -> list[str]:
        found = (d.document_id for d in self._documents.rows() if d.owner == owner and d.document_id > after)
        return sorted(found)[:limit]

    def delete(self, document_ids: Sequence[str]) -> None:
        gone = set(document_ids)
        for document_id in gone:
            self._documents.delete(document_id)
            self._logs.delete(document_id)
            self._bases.delete(document_id)
        of_them: tuple[Table[Any, Any], ...] = (self._devices, self._conflicts, self._checkpoints)
        for table in of_them:
            for key in [key for key, row in table.items() if row.document_id in gone]:
                table.delete(key)

    def _active(self, owner: Owner) -> list[Document]:
        return [d for d in self._documents.rows() if d.owner == owner and d.status == "active"]

    def insert(self, document: Document) -> None:
        if self.by_name(document.owner, document.name) is not None:
            raise VersionConflict({"name": document.name}, "There is another document of that name.")
        self._documents.put(document.document_id, document)

    def update(self, documents: Sequence[Document], *, with_state: Sequence[bool]) -> None:
        for document, state in zip(documents, with_state, strict=True):
            stored = self._documents.get(document.document_id)
            if stored is None:
                continue
            kept = document if state else replace(document, state=stored.state, state_version=stored.state_version)
            self._documents.put(document.document_id, kept)

    def needing_checkpoint(self, active_since: datetime, limit: int) -> list[str]:
        return sorted(
            d.document_id
            for d in self._documents.rows()
            if d.last_activity_at >= active_since and d.version > d.checkpoint_version and d.status == "active"
        )[:limit]

    # -- the log ----------------------------------------------------------------------------------------------------

    def _log(self, document_id: str) -> tuple[LoggedChange, ...]:
        return self._logs.get(document_id) or ()

    def changes(self, document_id: str, *, after: int, limit: int | None = None) -> list[LoggedChange]:
        found = [change for change in self._log(document_id) if change.version > after]
        return found if limit is None else found[:limit]

    def recent_changes(self, document_id: str, *, before: int | None, limit: int) -> list[LoggedChange]:
        found = [change for change in self._log(document_id) if before is None or change.version < before]
        return found[::-1][:limit]

    def change_of_device(self, document_id: str, device_id: str, seq: int) -> LoggedChange | None:
        return next((c for c in self._log(document_id) if c.device_id == device_id and c.seq == seq), None)

    def change_by_key(self, document_id: str, idempotency_key: str) -> LoggedChange | None:
        return next((c for c in self._log(document_id) if c.idempotency_key == idempotency_key), None)

    def insert_changes(self, changes: Sequence[LoggedChange]) -> None:
        for change in changes:
            log = self._log(change.document_id)
            if log and change.version <= log[-1].version:
                raise VersionConflict({"version": log[-1].version}, "This version is in the log already.")
            if change.seq is not None and self.change_of_device(change.document_id, change.device_id or "", change.seq):
                raise VersionConflict({"seq": change.seq}, "This change of the device is in the log already.")
            key = change.idempotency_key
            if key is not None and self.change_by_key(change.document_id, key) is not None:
                raise VersionConflict({"idempotency_key": key}, "A change with this key is in the log already.")
            self._logs.put(change.document_id, (*log, change))

    def log_base(self, document_id: str) -> LogBase | None:
        return self._bases.get(document_id)

    def put_log_base(self, base: LogBase) -> None:
        self._bases.put(base.document_id, base)

    def delete_changes(self, document_id: str, up_to: int) -> None:
        self._logs.put(document_id, tuple(change for change in self._log(document_id) if change.version > up_to))

    def needing_compaction(self, versions_kept: int, before: datetime, limit: int) -> list[str]:
        return sorted(d.document_id for d in self._documents.rows() if self._is_long(d, versions_kept, before))[:limit]

    def _is_long(self, document: Document, versions_kept: int, before: datetime) -> bool:
        log = self._log(document.document_id)
        if not log or log[0].created_at >= before or log[0].version > document.state_version:
            return False
        open_since = min((c.version for c in self.open_conflicts(document.document_id)), default=document.version)
        return log[0].version <= document.version - versions_kept and log[0].version < open_since

    # -- batches of changes -------------------------------------------------------------------------------------------

    def surroundings(self, after: Mapping[str, int | None]) -> dict[str, Surroundings]:
        return {
            document_id: Surroundings(
                [] if version is None else self.changes(document_id, after=version),
                self.devices(document_id),
                self.open_conflicts(document_id),
            )
            for document_id, version in after.items()
        }

    def record(self, progress: Sequence[Progress]) -> None:
        self.insert_changes([change for one in progress for change in one.logged])
        self.put_devices([device for one in progress for device in one.devices])
        self.put_conflicts([conflict for one in progress for conflict in one.conflicts])
        self.update([one.document for one in progress], with_state=[one.with_state for one in progress])

    # -- devices and conflicts --------------------------------------------------------------------------------------

    def contents(self, kind: ContentKind) -> list[Any]:
        """All records of that kind, in no order."""
        tables: dict[ContentKind, Table[Any, Any]] = {
            ContentKind.DOCUMENT: self._documents,
            ContentKind.LOG_BASE: self._bases,
            ContentKind.CONFLICT: self._conflicts,
            ContentKind.CHECKPOINT: self._checkpoints,
        }
        if kind is ContentKind.CHANGE:
            return [line for lines in self._logs.rows() for line in lines]
        return list(tables[kind].rows()) if kind in tables else []

    def replace_change(self, change: LoggedChange) -> None:
        """The line of that version is that one now."""
        lines = self._logs.get(change.document_id) or ()
        kept = tuple(change if line.version == change.version else line for line in lines)
        self._logs.put(change.document_id, kept)

    def devices(self, document_id: str) -> list[DocumentDevice]:
        found = [device for device in self._devices.rows() if device.document_id == document_id]
        return sorted(found, key=lambda device: device.device_no)

    def device(self, document_id: str, device_id: str) -> DocumentDevice | None:
        return self._devices.get((document_id, device_id))

    def put_devices(self, devices: Sequence[DocumentDevice]) -> None:
        for device in devices:
            self._devices.put((device.document_id, device.device_id), device)

    def open_conflicts(self, document_id: str) -> list[Conflict]:
        found = [c for c in self._conflicts.rows() if c.document_id == document_id and c.status == "open"]
        return sorted(found, key=lambda conflict: (conflict.opened_at, conflict.conflict_id))

    def put_conflicts(self, conflicts: Sequence[Conflict]) -> None:
        for conflict in conflicts:
            self._conflicts.put(conflict.conflict_id, conflict)

    # -- checkpoints ------------------------------------------------------------------------------------------------

    def insert_checkpoint(self, checkpoint: Checkpoint) -> None:
        self._checkpoints.put(checkpoint.checkpoint_id, checkpoint)

    def checkpoint(self, document_id: str, checkpoint_id: str) -> Checkpoint | None:
        found = self._checkpoints.get(checkpoint_id)
        return found if found is not None and found.document_id == document_id else None

    def checkpoint_by_request(self, document_id: str, request_id: str) -> Checkpoint | None:
        return next(
            (c for c in self._checkpoints.rows() if c.document_id == document_id and c.request_id == request_id), None
        )

    def checkpoints(self, document_id: str) -> list[Checkpoint]:
        found = [replace(c, state={}) for c in self._checkpoints.rows() if c.document_id == document_id]
        return sorted(found, key=lambda checkpoint: (checkpoint.created_at, checkpoint.checkpoint_id), reverse=True)

    def delete_checkpoints(self, checkpoint_ids: Sequence[str]) -> None:
        for checkpoint_id in checkpoint_ids:
            self._checkpoints.delete(checkpoint_id)

    def delete_old_checkpoints(self, before: datetime, limit: int) -> int:
        passing = [c for c in self._checkpoints.rows() if c.kind in PASSING_CHECKPOINTS and c.created_at < before]
        old = sorted(passing, key=lambda checkpoint: (checkpoint.created_at, checkpoint.checkpoint_id))[:limit]
        self.delete_checkpoints([checkpoint.checkpoint_id for checkpoint in old])
        return len(old)
