"""One document over HTTP: what needs no open document and no outbox."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sessile.client.records import (
    RestoredDocument,
    SavedCheckpoint,
    checkpoint_from,
    conflict_from,
    difference_from,
    restored_from,
)
from sessile.client.resources import (
    ActivityEntries,
    ActivityEntry,
    KnownDevice,
    StoredDocument,
    activity_from,
    document_from,
    known_device_from,
    point_difference_from,
)
from sessile.client.transport import Transport, segment
from sessile.model.document import CheckpointKind, Conflict, Difference, State

Point = int | str
"""A version, the id of a checkpoint, or `now`."""


class DocumentApi:
    """`client.api.document(document_id)`. Every verb raises DocumentNotFound for one that is not the caller's, and what `client.api` raises."""

    def __init__(self, transport: Transport, document_id: str) -> None:
        self.id = document_id
        self._transport = transport
        self._path = f"documents/{segment(document_id)}"

    def __repr__(self) -> str:
        return f"DocumentApi({self.id!r})"

    async def read(self) -> StoredDocument:
        """With its state."""
        return document_from(await self._transport.get(self._path))

    async def patch(self, patch: State, *, at: tuple[str, int] | None = None) -> StoredDocument:
        """Merges into the state (RFC 7396); with `at`, an epoch and a version, only if the document is still there. Returns it as it is then.
        Raises VersionConflict, ChangeRejected."""
        etag = "*" if at is None else f'"{at[0]}.{at[1]}"'
        headers = {"if-match": etag, "content-type": "application/merge-patch+json"}
        return document_from(await self._transport.ask("PATCH", self._path, body=patch, headers=headers))

    async def rename(self, name: str) -> StoredDocument:
        """Raises VersionConflict when another of the caller's documents has that name. Whoever opens the old name afterwards gets another
        document: do not rename one that a client of yours has open."""
        return document_from(await self._transport.post(f"{self._path}/rename", {"name": name}))

    async def archive(self) -> None:
        """Its name is free again; nothing is deleted."""
        await self._transport.ask("DELETE", self._path)

    async def unarchive(self) -> StoredDocument:
        """Raises VersionConflict when its name is taken by now."""
        return document_from(await self._transport.post(f"{self._path}/unarchive"))

    async def fork(
        self, name: str, *, at_version: int | None = None, checkpoint_id: str | None = None
    ) -> StoredDocument:
        """A new document with the state that this one has, or had at one of the two points. Raises VersionConflict for a name that is taken,
        VersionNotKept, CheckpointNotFound."""
        body = _given(name=name, at_version=at_version, checkpoint_id=checkpoint_id)
        return document_from(await self._transport.post(f"{self._path}/fork", body))

    async def diff(self, start: Point, end: Point = "now") -> list[Difference]:
        """Where two points differ: `current` is the value at the first, `restored` at the second, ABSENT where there is nothing. Raises
        VersionNotKept, CheckpointNotFound."""
        answer = await self._transport.get(f"{self._path}/diff", {"from": start, "to": end})
        return [point_difference_from(raw) for raw in answer["differences"]]

    async def export(self) -> Mapping[str, Any]:
        """The document, its log, checkpoints and open conflicts, for `client.api.import_`."""
        exported: Mapping[str, Any] = await self._transport.get(f"{self._path}/export")
        return exported

    async def activity(self, *, before: str | None = None, limit: int = 100) -> ActivityEntries:
        """What happened, newest first; at most 500 entries at a time."""
        answer = await self._transport.get(f"{self._path}/activity", {"before": before, "limit": limit})
        return ActivityEntries(
            entries=tuple(activity_from(raw) for raw in answer["entries"]), before=answer.get("before")
        )

    async def log_activity(self, kind: str, data: Mapping[str, Any] | None = None) -> ActivityEntry:
        """Adds an event of the application's own. `kind` begins with `app.`."""
        body = {"type": kind, "data": dict(data or {})}
        return activity_from(await self._transport.post(f"{self._path}/activity", body))

    async def conflicts(self) -> list[Conflict]:
        """The open ones."""
        answer = await self._transport.get(f"{self._path}/conflicts")
        return [conflict_from(raw, self.id) for raw in answer["conflicts"]]

    async def devices(self) -> list[KnownDevice]:
        """Every device that has worked on it, here or away."""
        answer = await self._transport.get(f"{self._path}/devices")
        return [known_device_from(raw) for raw in answer["devices"]]

    async def checkpoints(self) -> list[SavedCheckpoint]:
        """Newest first."""
        answer = await self._transport.get(f"{self._path}/checkpoints")
        return [checkpoint_from(raw) for raw in answer["checkpoints"]]

    async def checkpoint(
        self,
        label: str = "",
        *,
        kind: CheckpointKind = CheckpointKind.MANUAL,
        step: int | None = None,
        request_id: str | None = None,
    ) -> SavedCheckpoint:
        """Of what the server has. The same `request_id` again gives the same one, so it may be repeated after ConnectionLost."""
        body = _given(label=label, kind=str(kind), step=step, request_id=request_id)
        return checkpoint_from(await self._transport.post(f"{self._path}/checkpoints", body))

    async def restore(
        self, checkpoint_id: str, *, paths: Sequence[str] | None = None, version: int | None = None
    ) -> RestoredDocument:
        """Back to a checkpoint, wholly or for some paths, as a new version; with `version` only if the document is still at it. Raises
        CheckpointNotFound, VersionConflict."""
        body = _given(checkpoint_id=checkpoint_id, paths=None if paths is None else list(paths), version=version)
        return restored_from(await self._transport.post(f"{self._path}/restore", body))

    async def preview(self, checkpoint_id: str, *, paths: Sequence[str] | None = None) -> list[Difference]:
        """What a restore would change now."""
        body = _given(checkpoint_id=checkpoint_id, paths=None if paths is None else list(paths), dry_run=True)
        answer = await self._transport.post(f"{self._path}/restore", body)
        return [difference_from(raw) for raw in answer["differences"]]


def _given(**fields: Any) -> dict[str, Any]:
    """Those that are not None: the rest is left to the service."""
    return {name: value for name, value in fields.items() if value is not None}
