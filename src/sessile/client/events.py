"""What a client tells: one class for each event, named like the page events of the browser client."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sessile.client.records import Answer, Device, Frame, RestoredDocument, SavedCheckpoint
from sessile.model.document import Conflict, Operation, State


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
    """The session of the connection, as `welcome` shows it; None when it is over."""

    session: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionExpiring(Event):
    session_id: str
    expires_at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionExpired(Event):
    session_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionEnded(Event):
    session_id: str | None
    reason: str


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
