"""What a client tells: one class for each event, named like the page events of the browser client."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sessile.client.records import Answer, Device, Frame, RestoredDocument, SavedCheckpoint
from sessile.client.resources import Maintenance, maintenance_from
from sessile.model.document import Conflict, Operation, State
from sessile.model.handoff import HandoffStatus


class ConnectionStatus(StrEnum):
    CONNECTING = "connecting"
    CONNECTED = "connected"
    RECONNECTING = "reconnecting"
    NEEDS_AUTH = "needs_auth"
    """The session is over. Changes are still taken into the outbox; `Client.reconnect` with a new token goes on."""
    STOPPED = "stopped"
    """The server will not talk to this client, or the tries are used up."""
    CLOSED = "closed"


class SyncStatus(StrEnum):
    SAVED_LOCALLY = "saved_locally"
    SYNCING = "syncing"
    SYNCHRONIZED = "synchronized"
    BEHIND = "behind"
    DIVERGED = "diverged"
    NEEDS_AUTH = "needs_auth"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """The base of all events; `client.on(Event, ...)` hears every one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionStatusChanged(Event):
    """`reason` is a word for machines: `welcome`, `closed_4000`, `lost`, `unreachable`. `retry_in_s` is None when no try is planned."""

    before: ConnectionStatus
    after: ConnectionStatus
    reason: str
    attempt: int
    retry_in_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionStateChanged(Event):
    """The session of the connection, as the server shows it; None when it is over."""

    session: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformSwitched(Event):
    """The session, or this client, is on another platform than before. PLATFORM of protocol/README.md; None: on none."""

    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionChanged(Event):
    """Something about the session or its user has changed elsewhere. What it is now follows as SessionStateChanged, when it is read.
    `needs_refresh`: what the user may do has changed, and the session is to get a new token. A client with `on_token` does so by itself; with
    another one it is `client.api.refresh()`, for who knows where to keep it."""

    session_id: str
    needs_refresh: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionExpiring(Event):
    """`can_extend`: `client.api.extend()` would move the end; else only a new login does."""

    session_id: str
    expires_at: str
    can_extend: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionExpired(Event):
    """`clock` is "idle" or "absolute"."""

    session_id: str | None
    clock: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionEnded(Event):
    session_id: str | None
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HandoffChanged(Event):
    """A hand-off that this session offered has moved on; `redeemed` waits for `client.api.handoff_confirm`. `device` is the one that asks,
    with its `label`."""

    session_id: str
    handoff_id: str
    status: HandoffStatus
    device: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MaintenanceChanged(Event):
    """Work was announced, has begun, or (None) is over: nobody new is let in meanwhile. Who is here goes on."""

    maintenance: Maintenance | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerError(Event):
    """The server refused something that no caller is waiting for."""

    code: str
    message: str
    retryable: bool
    ref: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentEvent(Event):
    name: str
    document_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class InitialStateReceived(DocumentEvent):
    state: State
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StateUpdateReceived(DocumentEvent):
    """`changes` are lines of the log as the wire has them; empty when a resume had missed nothing."""

    version: int
    changes: Sequence[Frame]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeSettled(DocumentEvent):
    """A change of this client is committed, whatever the verdict."""

    answer: Answer
    operations: Sequence[Operation]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConflictDetected(DocumentEvent):
    conflict: Conflict


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointSaved(DocumentEvent):
    checkpoint: SavedCheckpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRestored(DocumentEvent):
    restored: RestoredDocument


@dataclass(frozen=True, slots=True, kw_only=True)
class PresenceChanged(DocumentEvent):
    devices: Sequence[Device]


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncStatusChanged(DocumentEvent):
    before: SyncStatus
    after: SyncStatus


def of_session(frame: Frame) -> Event:
    """`session_expiring`, `session_changed`, `handoff_changed` or `maintenance`, as the event that it is."""
    if frame["type"] == "maintenance":
        return MaintenanceChanged(maintenance=maintenance_from(frame["maintenance"]))
    session_id = frame["session_id"]
    if frame["type"] == "session_changed":
        return SessionChanged(session_id=session_id, needs_refresh=frame.get("refresh", False))
    if frame["type"] == "session_expiring":
        can_extend = frame.get("can_extend", False)
        return SessionExpiring(session_id=session_id, expires_at=frame["expires_at"], can_extend=can_extend)
    return HandoffChanged(
        session_id=session_id,
        handoff_id=frame["handoff_id"],
        status=HandoffStatus(frame["status"]),
        device=frame.get("device"),
    )
