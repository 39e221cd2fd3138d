"""One view over what happened to a document, and an application's own events in it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from sessile.engine.documents import document_event
from sessile.engine.ownership import find, find_for_change
from sessile.model.activity import APP_EVENT, Activity, ActivityPage, Cursor
from sessile.model.audit import AuditEvent
from sessile.model.change_format import check_value
from sessile.model.document import Actor
from sessile.model.errors import InvalidChange
from sessile.model.limits import ACTIVITY_DATA_BYTES_MAX, NUMBER_MAX
from sessile.ports import Clock, Store, Transaction

_NEWEST = Cursor(NUMBER_MAX, NUMBER_MAX, "~")


class ActivityEngine:
    """Read and add. Raises DocumentNotFound for what is not the actor's."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def page(self, actor: Actor, document_id: str, before: str | None, limit: int) -> ActivityPage:
        """Newest first, going on behind `before`. Raises InvalidChange for a `before` that no page gave."""
        try:
            cursor = Cursor.parse(before) if before is not None else _NEWEST
        except ValueError as error:
            raise InvalidChange("/before", str(error)) from None
        return await self._store.read(_page, actor, document_id, cursor, limit)

    async def log(self, actor: Actor, document_id: str, kind: str, data: Mapping[str, Any]) -> AuditEvent:
        """Adds an event of the application. Raises InvalidChange for a type that is not `app.*` or data that cannot be kept."""
        if APP_EVENT.fullmatch(kind) is None:
            raise InvalidChange(
                "/type", "a type is app. and 1 to 60 small letters, digits, dots, dashes or underscores"
            )
        kept = check_value(dict(data), "/data")
        if len(msgspec.json.encode(kept)) > ACTIVITY_DATA_BYTES_MAX:
            raise InvalidChange("/data", f"is larger than {ACTIVITY_DATA_BYTES_MAX} bytes")
        return await self._store.write(self._log, actor, document_id, kind, kept)

    def _log(self, tx: Transaction, actor: Actor, document_id: str, kind: str, data: dict[str, Any]) -> AuditEvent:
        now = self._clock.now()
        event = document_event(find_for_change(tx, actor, document_id, now), kind, now, actor, **data)
        tx.audit([event])
        return tx.recent_audit(event.stream, before=None, limit=1)[0]


def _page(tx: Transaction, actor: Actor, document_id: str, cursor: Cursor, limit: int) -> ActivityPage:
    document = find(tx, actor, document_id)
    changes = tx.documents.recent_changes(document_id, before=cursor.version, limit=limit + 1)
    events = tx.recent_audit(f"document:{document.document_id}", before=cursor.position, limit=limit + 1)
    checkpoints = [c for c in tx.documents.checkpoints(document_id) if c.checkpoint_id < cursor.checkpoint_id]
    checkpoints.sort(key=lambda checkpoint: checkpoint.checkpoint_id, reverse=True)
    sources: list[list[Activity]] = [
        [Activity("change", change.created_at, change=change) for change in changes],
        [Activity("checkpoint", checkpoint.created_at, checkpoint=checkpoint) for checkpoint in checkpoints],
        [Activity(event.type, event.at, event=event) for event in events],
    ]
    entries: list[Activity] = []
    while len(entries) < limit and any(sources):
        # Each source keeps its own order, whatever clocks did; of the three heads the latest goes first.
        entries.append(max((source for source in sources if source), key=_head_at).pop(0))
    for entry in entries:
        cursor = _behind(cursor, entry)
    return ActivityPage(entries, str(cursor) if any(sources) else None)


def _head_at(source: list[Activity]) -> datetime:
    return source[0].at


def _behind(cursor: Cursor, entry: Activity) -> Cursor:
    if entry.change is not None:
        return Cursor(entry.change.version, cursor.position, cursor.checkpoint_id)
    if entry.event is not None:
        return Cursor(cursor.version, entry.event.position, cursor.checkpoint_id)
    checkpoint_id = entry.checkpoint.checkpoint_id if entry.checkpoint is not None else cursor.checkpoint_id
    return Cursor(cursor.version, cursor.position, checkpoint_id)
