"""What the client hands out, and how it is read from frames. Values of documents are plain JSON; everything here is immutable."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sessile.model.document import ABSENT, CheckpointKind, Conflict, ConflictReason, Difference, Verdict

Frame = Mapping[str, Any]
"""A frame of protocol/README.md, decoded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the server decided about one change. `verdict` is None when it has the change but did not repeat the verdict here."""

    seq: int
    version: int | None
    verdict: Verdict | None
    detail: Mapping[str, Any] = field(default_factory=dict)
    conflicts: Sequence[str] = ()
    """Ids of the conflicts that the change opened."""

    @property
    def is_refused(self) -> bool:
        """True when the state does not have the change: rejected, or set aside as a conflict."""
        return self.verdict in (Verdict.REJECTED, Verdict.CONFLICT)


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedCheckpoint:
    """A checkpoint, without its state."""

    checkpoint_id: str
    document_id: str
    version: int
    kind: CheckpointKind
    label: str
    step: int | None
    created_at: datetime
    device_no: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoredDocument:
    """A restore that has happened. `before_checkpoint_id` leads back."""

    document_id: str
    version: int
    generation: int
    checkpoint_id: str
    before_checkpoint_id: str | None
    device_no: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """A device that has the document open. `behind`: how many versions it has not been sent yet."""

    device_no: int
    label: str
    tabs: int
    visible: bool
    behind: int
    last_seen_at: datetime
    is_primary: bool


def answer_from(raw: Frame, *, conflicts_are_records: bool = False) -> Answer:
    """From an ack's verdict, or from a line of the log, whose conflicts are whole records."""
    conflicts = raw.get("conflicts") or ()
    return Answer(
        seq=raw["seq"],
        version=raw["version"],
        verdict=Verdict(raw["verdict"]),
        detail=raw.get("detail") or {},
        conflicts=tuple(item["conflict_id"] for item in conflicts) if conflicts_are_records else tuple(conflicts),
    )


def conflict_from(raw: Frame, document_id: str) -> Conflict:
    """An absent base, winner or loser means that there was nothing."""
    return Conflict(
        conflict_id=raw["conflict_id"],
        document_id=document_id,
        path=raw["path"],
        reason=ConflictReason(raw["reason"]),
        base=raw.get("base", ABSENT),
        winner=raw.get("winner", ABSENT),
        loser=raw.get("loser", ABSENT),
        winner_device_no=raw["winner_device_no"],
        loser_device_no=raw["loser_device_no"],
        version=raw["version"],
        opened_at=datetime.fromisoformat(raw["opened_at"]),
    )


def checkpoint_from(raw: Frame) -> SavedCheckpoint:
    return SavedCheckpoint(
        checkpoint_id=raw["checkpoint_id"],
        document_id=raw["document_id"],
        version=raw["version"],
        kind=CheckpointKind(raw["kind"]),
        label=raw.get("label") or "",
        step=raw.get("step"),
        created_at=datetime.fromisoformat(raw["created_at"]),
        device_no=raw.get("device_no"),
    )


def restored_from(raw: Frame) -> RestoredDocument:
    return RestoredDocument(
        document_id=raw["document_id"],
        version=raw["version"],
        generation=raw["generation"],
        checkpoint_id=raw["checkpoint_id"],
        before_checkpoint_id=raw.get("before_checkpoint_id"),
        device_no=raw["device_no"],
    )


def device_from(raw: Frame) -> Device:
    return Device(
        device_no=raw["device_no"],
        label=raw["label"],
        tabs=raw["tabs"],
        visible=raw["visible"],
        behind=raw["behind"],
        last_seen_at=datetime.fromisoformat(raw["last_seen_at"]),
        is_primary=raw["is_primary"],
    )


def difference_from(raw: Frame) -> Difference:
    return Difference(raw["path"], raw.get("current", ABSENT), raw.get("restored", ABSENT))
