"""Documents, changes, verdicts, conflicts, checkpoints: the records of a person's work. All immutable; times are UTC.

A state is a JSON object that nobody changes in place: `sessile.model.operations` builds new ones that share what did not change.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

import msgspec

from sessile.model.record import Record

Json = Any
"""A JSON value: None, bool, int, float, str, list, dict with string keys."""
State = Mapping[str, Any]
Operation = Mapping[str, Any]


class _Absent:
    """There is nothing at this path. Not None, which is a JSON value."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "ABSENT"

    def __bool__(self) -> bool:
        return False


ABSENT: Final = _Absent()


class Verdict(StrEnum):
    APPLIED = "applied"
    NOOP = "noop"
    REJECTED = "rejected"
    CONFLICT = "conflict"


class Policy(StrEnum):
    KEEP_BOTH = "keep_both"
    LAST_WRITE_WINS = "last_write_wins"
    REJECT = "reject"


class ConflictReason(StrEnum):
    CONCURRENT = "concurrent"
    SUPERSEDED = "superseded"
    PARENT_REMOVED = "parent_removed"


class CheckpointKind(StrEnum):
    MANUAL = "manual"
    STEP = "step"
    AUTOMATIC = "automatic"
    BEFORE_RESTORE = "before_restore"


PASSING_CHECKPOINTS: Final = (CheckpointKind.AUTOMATIC, CheckpointKind.BEFORE_RESTORE)
"""Kinds of which only the newest are kept; what a person made on purpose stays."""


class Owner(Record, frozen=True):
    """Exactly one of the two is set."""

    user_id: str | None = None
    session_id: str | None = None

    def __post_init__(self) -> None:
        if (self.user_id is None) == (self.session_id is None):
            raise ValueError("an owner is a user or an anonymous session, exactly one of them")


@dataclass(frozen=True, slots=True)
class Actor:
    """Who asks. `Actor.system()` may open everything: application code, operators, background work."""

    user_id: str | None = None
    session_id: str | None = None
    device_id: str | None = None
    is_system: bool = False

    @staticmethod
    def system() -> Actor:
        return Actor(is_system=True)

    @property
    def owner(self) -> Owner:
        """Who would own a document that this actor makes. Raises ValueError for the system."""
        return Owner(user_id=self.user_id) if self.user_id is not None else Owner(session_id=self.session_id)

    def may_open(self, owner: Owner) -> bool:
        if self.is_system:
            return True
        if owner.user_id is not None:
            return owner.user_id == self.user_id
        return self.session_id is not None and owner.session_id == self.session_id


class Document(Record, frozen=True, kw_only=True):
    _unshown = ("state",)

    document_id: str
    owner: Owner
    name: str
    state: State = msgspec.field(default_factory=dict)
    version: int = 0
    state_version: int = 0
    """The version that `state` is at in the store's row; records handed out by the engine are always rolled forward."""
    epoch: str
    generation: int = 0
    schema_name: str = ""
    schema_version: int = 1
    status: str = "active"
    created_at: datetime
    updated_at: datetime
    last_activity_at: datetime
    checkpoint_version: int = 0
    """The version that the latest automatic, manual or step checkpoint covers."""

    @property
    def position(self) -> tuple[str, int]:
        return (self.epoch, self.version)


class Change(Record, frozen=True, kw_only=True):
    """What a device asks for. Identified by (device_id, seq); server-side writers have an idempotency_key instead, or nothing."""

    operations: Sequence[Operation]
    base_version: int
    generation: int
    device_id: str | None = None
    seq: int | None = None
    idempotency_key: str | None = None


class Conflict(Record, frozen=True, kw_only=True):
    """Two values for one path. `winner` is in the state, `loser` is kept here until somebody resolves it. ABSENT: there was nothing."""

    conflict_id: str
    document_id: str
    path: str
    reason: ConflictReason
    base: Json = ABSENT
    winner: Json = ABSENT
    loser: Json = ABSENT
    winner_device_no: int = 0
    loser_device_no: int = 0
    version: int = 0
    opened_at: datetime
    status: str = "open"


class LoggedChange(Record, frozen=True, kw_only=True):
    """One line of a document's log, with its durable verdict. `before` are the values it overwrote: (path, value or ABSENT) pairs."""

    document_id: str
    version: int
    generation: int
    base_version: int
    operations: Sequence[Operation]
    verdict: Verdict
    detail: Mapping[str, Any] | None = None
    device_id: str | None = None
    device_no: int = 0
    seq: int | None = None
    idempotency_key: str | None = None
    operations_hash: bytes = b""
    before: Sequence[tuple[str, Json]] = ()
    conflicts: Sequence[Conflict] = ()
    resolved: Sequence[str] = ()
    state_hash: str | None = None
    session_id: str | None = None
    created_at: datetime


class DocumentDevice(Record, frozen=True, kw_only=True):
    document_id: str
    device_id: str
    device_no: int
    last_seq: int = 0
    is_primary: bool = False
    session_id: str | None = None
    last_active_at: datetime
    label: str = ""
    seen_version: int = 0
    """How far the device had been brought up to date when it was last heard of."""
    disconnected_at: datetime | None = None
    reconnected_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    checkpoint_id: str
    document_id: str
    version: int
    generation: int
    kind: CheckpointKind
    label: str = ""
    step: int | None = None
    device_no: int | None = None
    request_id: str | None = None
    schema_version: int = 1
    """The version of the document's kind that the state is in."""
    created_at: datetime
    state: State = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogBase:
    """Where a document's log begins: the state at `version`, to which every line that is kept leads on."""

    document_id: str
    version: int = 0
    generation: int = 0
    schema_version: int = 1
    state: State = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Difference:
    """One path at which two states differ. ABSENT: nothing there."""

    path: str
    current: Json
    restored: Json


@dataclass(frozen=True, slots=True)
class Restored:
    """The outcome of a restore. A dry run has `before` None and `document` unchanged."""

    document: Document
    checkpoint: Checkpoint
    before: Checkpoint | None
    differences: Sequence[Difference]
    changes: Sequence[LoggedChange] = ()


@dataclass(frozen=True, slots=True)
class Opened:
    """A document as one device opens it."""

    document: Document
    device_no: int
    last_seq: int
    conflicts: Sequence[Conflict]
    created: bool = False


@dataclass(frozen=True, slots=True)
class Delta:
    """The answer to "what happened since": either contiguous changes, or a whole snapshot when those are not to be had."""

    document: Document
    from_version: int
    changes: Sequence[LoggedChange]
    snapshot: bool
    conflicts: Sequence[Conflict] = ()


class Submission(Record, frozen=True):
    """Changes of one device for one document, in seq order."""

    document_id: str
    changes: Sequence[Change]
    actor: Actor


class Outcome(Record, frozen=True):
    """What became of a submission: verdicts in the order of its changes; `error` stands for the first that had none, and all after it."""

    document_id: str
    epoch: str
    logged: Sequence[LoggedChange]
    error: Exception | None = None
