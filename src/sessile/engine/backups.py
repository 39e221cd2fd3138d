"""The way back of what a browser kept: as ordinary changes, judged like everybody's. There is no other way from a backup into a state."""

from __future__ import annotations

from sessile.engine.changes import ChangeEngine
from sessile.engine.documents import DocumentEngine
from sessile.model.backup import Backup
from sessile.model.document import Actor, LoggedChange


class BackupEngine:
    def __init__(self, documents: DocumentEngine, changes: ChangeEngine) -> None:
        self._documents = documents
        self._changes = changes

    async def restore(self, actor: Actor, document_id: str, backup: Backup) -> LoggedChange:
        """The change that it became; the same backup again gives the same one. From another log, or from a version that is not there, it counts as
        colliding wherever it differs. Raises DocumentNotFound, InvalidChange, ChangeRejected."""
        operations = backup.operations()
        document = await self._documents.get(actor, document_id)
        is_of_this_log = backup.epoch == document.epoch and 0 <= backup.version <= document.version
        base_version = backup.version if is_of_this_log else 0
        return await self._changes.change(actor, document_id, operations, base_version, backup.key)
