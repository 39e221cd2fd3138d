"""One user's data as one JSON document, made in pieces: a page of rows, or one state, is in memory at a time, and each is read by itself."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Final

import msgspec

from sessile.engine.erasing import check_reason
from sessile.engine.ownership import rolled_forward
from sessile.engine.principals import check_user_id
from sessile.model.audit import AuditEvent
from sessile.model.audit_format import escaped_json
from sessile.model.audit_vocabulary import owasp_name
from sessile.model.document import Owner
from sessile.model.session import Principal, Session
from sessile.model.wire import (
    checkpoint_to_wire,
    conflict_to_wire,
    document_to_wire,
    iso,
    iso_or_none,
    logged_to_wire,
    platform_to_wire,
)
from sessile.ports import Clock, Store, Transaction

FORMAT: Final = "sessile/user-data"
VERSION: Final = 1
ROWS_AT_ONCE: Final = 100


class ExportEngine:
    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def export(self, user_id: str, reason: str, *, with_session_data: bool) -> AsyncIterator[str]:
        """Pieces of one JSON text, in order. That it was made is noted before the first one, where anything is known of the user."""
        check_user_id(user_id, required=True)
        check_reason(reason)
        now = self._clock.now()
        head = await self._store.write(_begin, user_id, self._event(user_id, reason))
        yield escaped_json({"format": FORMAT, "version": VERSION, "exported_at": iso(now), "user_id": user_id, **head})[
            :-1
        ]
        yield ',"sessions":['
        async for piece in self._sessions(user_id, with_session_data):
            yield piece
        yield '],"documents":['
        async for piece in self._documents(user_id):
            yield piece
        yield '],"events":['
        async for piece in self._events(user_id):
            yield piece
        yield "]}"

    def _event(self, user_id: str, reason: str) -> AuditEvent:
        return AuditEvent(
            stream=f"user:{user_id}",
            type="principal_exported",
            at=self._clock.now(),
            user_id=user_id,
            data={"reason": reason},
        )

    async def _sessions(self, user_id: str, with_data: bool) -> AsyncIterator[str]:
        after, comma = "", ""
        while page := await self._store.read(_sessions, user_id, after):
            after = page[-1].session_id
            yield comma + ",".join(escaped_json(_session(session, with_data)) for session in page)
            comma = ","

    async def _documents(self, user_id: str) -> AsyncIterator[str]:
        after, comma = "", ""
        while ids := await self._store.read(_ids, user_id, after):
            after = ids[-1]
            for document_id in ids:
                head = await self._store.read(_document, document_id)
                if head is None:
                    continue  # it was removed a moment ago
                yield comma + escaped_json(head)[:-1] + ',"checkpoints":['
                async for piece in self._checkpoints(document_id):
                    yield piece
                yield '],"changes":['
                async for piece in self._changes(document_id):
                    yield piece
                yield "]}"
                comma = ","

    async def _checkpoints(self, document_id: str) -> AsyncIterator[str]:
        comma = ""
        for checkpoint_id in await self._store.read(_checkpoint_ids, document_id):
            kept = await self._store.read(_checkpoint, document_id, checkpoint_id)
            if kept is not None:
                yield comma + escaped_json(kept)
                comma = ","

    async def _changes(self, document_id: str) -> AsyncIterator[str]:
        after, comma = 0, ""
        while page := await self._store.read(_changes, document_id, after):
            after = page[-1]["version"]
            yield comma + ",".join(map(escaped_json, page))
            comma = ","

    async def _events(self, user_id: str) -> AsyncIterator[str]:
        after, comma = ("", 0), ""
        while page := await self._store.read(_named, user_id, after):
            after = (page[-1].stream, page[-1].position)
            yield comma + ",".join(escaped_json(_told(event)) for event in page)
            comma = ","


def _begin(tx: Transaction, user_id: str, event: AuditEvent) -> dict[str, Any]:
    known = tx.sessions.principal(user_id, lock=True)
    platforms = tx.platforms.of_user(user_id)
    if known is not None or platforms:
        tx.audit([event])
    return {
        "user": None if known is None else _principal(known),
        "platforms": [
            {
                **(platform_to_wire(platform) or {}),
                "is_active": platform.is_active,
                "created_at": iso(platform.created_at),
                "updated_at": iso(platform.updated_at),
            }
            for platform in platforms
        ],
    }


def _principal(known: Principal) -> dict[str, Any]:
    return {
        "public": dict(known.public),
        "roles": list(known.roles),
        "disabled_at": iso_or_none(known.disabled_at),
        "sessions_max": known.sessions_max,
    }


def _sessions(tx: Transaction, user_id: str, after: str) -> list[Session]:
    return tx.sessions.kept_of_user(user_id, after=after, limit=ROWS_AT_ONCE)


def _session(session: Session, with_data: bool) -> dict[str, Any]:
    """Never a token or a hash of one, nor what the device's key, its fingerprint or a provider's session are known by."""
    told: dict[str, Any] = {
        "session_id": session.session_id,
        "platform_id": session.platform_id,
        "device_id": session.device_id,
        "device": dict(session.device),
        "public": dict(session.public),
        "created_at": iso(session.created_at),
        "authenticated_at": iso_or_none(session.authenticated_at),
        "last_activity": iso(session.last_seen_at),
        "expires_at": iso(session.expires_at),
        "ended_at": iso_or_none(session.ended_at),
        "end_reason": None if session.end_reason is None else str(session.end_reason),
        "remembered": session.is_remembered,
        "disconnected_at": iso_or_none(session.disconnected_at),
        "reconnected_at": iso_or_none(session.reconnected_at),
        "device_bound": session.binding is not None,
    }
    return {**told, "data": msgspec.json.decode(session.data)} if with_data else told


def _ids(tx: Transaction, user_id: str, after: str) -> list[str]:
    return tx.documents.ids_of_owner(Owner(user_id=user_id), after=after, limit=ROWS_AT_ONCE)


def _document(tx: Transaction, document_id: str) -> dict[str, Any] | None:
    document = tx.documents.get(document_id)
    if document is None:
        return None
    devices = [
        {
            "device_id": device.device_id,
            "device_no": device.device_no,
            "label": device.label,
            "last_active_at": iso(device.last_active_at),
        }
        for device in tx.documents.devices(document_id)
    ]
    conflicts = [conflict_to_wire(conflict) for conflict in tx.documents.open_conflicts(document_id)]
    return {**document_to_wire(rolled_forward(tx, document)), "devices": devices, "conflicts": conflicts}


def _checkpoint_ids(tx: Transaction, document_id: str) -> list[str]:
    return [checkpoint.checkpoint_id for checkpoint in tx.documents.checkpoints(document_id)]


def _checkpoint(tx: Transaction, document_id: str, checkpoint_id: str) -> dict[str, Any] | None:
    kept = tx.documents.checkpoint(document_id, checkpoint_id)
    return None if kept is None else {**checkpoint_to_wire(kept), "state": kept.state}


def _changes(tx: Transaction, document_id: str, after: int) -> list[dict[str, Any]]:
    return [logged_to_wire(line) for line in tx.documents.changes(document_id, after=after, limit=ROWS_AT_ONCE)]


def _named(tx: Transaction, user_id: str, after: tuple[str, int]) -> list[AuditEvent]:
    return tx.audit_of_user(user_id, after=after, limit=ROWS_AT_ONCE)


def _told(event: AuditEvent) -> dict[str, Any]:
    return {
        "at": iso(event.at),
        "event": owasp_name(event),
        "type": event.type,
        "stream": event.stream,
        "position": event.position,
        "session_id": event.session_id,
        "document_id": event.document_id,
        "data": dict(event.data),
    }
