"""The way back of what a browser kept: as ordinary changes, judged like everybody's. There is no other way from a backup into a state."""

from __future__ import annotations

from dataclasses import replace

from sessile.engine.changes import ChangeEngine
from sessile.engine.history import state_at
from sessile.engine.ownership import find
from sessile.model.backup import Backup
from sessile.model.canonical import json_equal
from sessile.model.document import ABSENT, Actor, LoggedChange
from sessile.model.errors import VersionNotKept
from sessile.model.pointer import lookup, overlap, parse
from sessile.ports import Store, Transaction


class BackupEngine:
    def __init__(self, store: Store, changes: ChangeEngine) -> None:
        self._store = store
        self._changes = changes

    async def restore(self, actor: Actor, document_id: str, backup: Backup) -> LoggedChange | None:
        """The change that it became; the same backup again gives the same one. None when there is nothing in it that was not saved then, or that
        the device has not changed since. From another log, or from a version that is not kept, it counts as colliding wherever it differs.
        Raises DocumentNotFound, InvalidChange, ChangeRejected."""
        backup.operations()  # refuses what cannot be, before anything is left out
        unsaved, base_version, is_of_this_log = await self._store.read(_unsaved, actor, document_id, backup)
        if not unsaved.values:
            return None
        operations = unsaved.operations()
        return await self._changes.change(
            actor, document_id, operations, base_version, backup.key, as_device=is_of_this_log
        )


def _unsaved(tx: Transaction, actor: Actor, document_id: str, backup: Backup) -> tuple[Backup, int, bool]:
    """What of a backup is not in the log already, the version that it is based on, and whether that is one of this log."""
    document = find(tx, actor, document_id)
    if backup.epoch != document.epoch or not 0 <= backup.version <= document.version:
        return backup, 0, False
    try:
        then = state_at(tx, document, backup.version).state
    except VersionNotKept:
        return backup, 0, False
    own = [
        parse(path)
        for line in tx.documents.changes(document_id, after=backup.version)
        if line.device_id == backup.device_id and line.idempotency_key != backup.key
        for path, _ in line.before
    ]
    values = {
        path: value
        for path, value in backup.values.items()
        if not any(overlap(keys, parse(path)) for keys in own) and not _equal(lookup(then, parse(path)), value)
    }
    return replace(backup, values=values), backup.version, True


def _equal(stood: object, kept: object) -> bool:
    return stood is not ABSENT and json_equal(stood, kept)
