"""What the core of a document asks of whoever runs it: things to send, to store, to tell. In order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from sessile.client.records import Answer, Frame
from sessile.model.document import Conflict, Operation

SyncReason = Literal["gap", "hash", "epoch", "resume", "user"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """A change that the confirmed state does not show yet. `seq` is None until the outbox has given it one, `answer` until the
    server has one; it stays in the view until the confirmed state covers it."""

    nonce: str
    operations: Sequence[Operation]
    base_version: int
    generation: int | None
    """None: made before the document was ever seen."""
    device_id: str | None = None
    seq: int | None = None
    answer: Answer | None = None


@dataclass(frozen=True, slots=True)
class RequestSync:
    """Ask for what is missing: a delta from the position, or without one a snapshot."""

    reason: SyncReason
    position: tuple[str, int] | None


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """Everything of the device up to this seq is committed and may leave the outbox."""

    device_id: str
    through: int


@dataclass(frozen=True, slots=True)
class Settled:
    """The end of a change: it is committed with this answer, and the confirmed state is at least that far."""

    nonce: str
    answer: Answer
    operations: Sequence[Operation]


@dataclass(frozen=True, slots=True)
class Rewind:
    """Send again everything after this seq, when the delay is over."""

    after: int
    delay_s: float


@dataclass(frozen=True, slots=True)
class RenewIdentity:
    """This device id cannot go on: take a new one and number what is unanswered again."""


@dataclass(frozen=True, slots=True)
class ConflictOpened:
    conflict: Conflict


@dataclass(frozen=True, slots=True)
class SnapshotTaken:
    """The confirmed state was replaced as a whole."""


@dataclass(frozen=True, slots=True)
class Updated:
    """Lines of the log were applied to the confirmed state, as they came."""

    changes: Sequence[Frame]


Effect = RequestSync | Acknowledged | Settled | Rewind | RenewIdentity | ConflictOpened | SnapshotTaken | Updated
