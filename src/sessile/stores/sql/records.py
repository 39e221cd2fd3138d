"""Rows of the tables that a batch of changes meets, as plain values in the order of their columns: to records and back.

SQLAlchemy would do the same, value by value; for a batch that is more work than all the rest of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sessile.model.batch import Progress
from sessile.model.document import (
    ABSENT,
    Conflict,
    ConflictReason,
    Document,
    DocumentDevice,
    LoggedChange,
    Owner,
    Verdict,
)
from sessile.model.session import EndReason, Lifetime
from sessile.stores.sql.types import from_bytes, from_micros, to_bytes, to_micros

Row = Sequence[Any]


def lifetime(row: Row) -> Lifetime:
    """Of `session_id`, the two deadlines, `ended_at` and `end_reason`."""
    _, idle, absolute, ended_at, reason = row
    return Lifetime(from_micros(idle), from_micros(absolute), _moment(ended_at), reason and EndReason(reason))


def document(row: Row) -> Document:
    """Of all columns of `documents`."""
    (
        document_id, user_id, session_id, name, schema_name, schema_version, state, version, state_version, checkpoint_version,
        epoch, generation, status, created_at, updated_at, last_activity_at,
    ) = row  # fmt: skip
    return Document(
        document_id=document_id,
        owner=Owner(user_id, session_id),
        name=name,
        state={} if state is None else from_bytes(state),  # it was not asked for
        version=version,
        state_version=state_version,
        epoch=epoch,
        generation=generation,
        schema_name=schema_name,
        schema_version=schema_version,
        status=status,
        created_at=from_micros(created_at),
        updated_at=from_micros(updated_at),
        last_activity_at=from_micros(last_activity_at),
        checkpoint_version=checkpoint_version,
    )


def moved(progress: Progress) -> tuple[Any, ...]:
    """What a batch moves in a row of `documents`, its state apart: id, schema_version, version, generation, updated_at, last_activity_at, and
    state_version where the state is written."""
    document = progress.document
    return (
        document.document_id,
        document.schema_version,
        document.version,
        document.generation,
        to_micros(document.updated_at),
        to_micros(document.last_activity_at),
        document.state_version if progress.with_state else None,
    )


def device(row: Row) -> DocumentDevice:
    """Of all columns of `document_devices`."""
    document_id, device_id, number, last_seq, is_primary, session_id, active_at, label, seen, gone_at, back_at = row
    return DocumentDevice(
        document_id=document_id,
        device_id=device_id,
        device_no=number,
        last_seq=last_seq,
        is_primary=bool(is_primary),
        session_id=session_id,
        last_active_at=from_micros(active_at),
        label=label,
        seen_version=seen,
        disconnected_at=_moment(gone_at),
        reconnected_at=_moment(back_at),
    )


def mark(device: DocumentDevice) -> tuple[Any, ...]:
    """What a change moves in a row of `document_devices`: its ids, last_seq, is_primary, session_id, last_active_at."""
    return (
        device.document_id,
        device.device_id,
        device.last_seq,
        device.is_primary,
        device.session_id,
        to_micros(device.last_active_at),
    )


def change(row: Row) -> LoggedChange:
    """Of all columns of `changes`."""
    (
        document_id, version, generation, base_version, operations, digest, verdict, detail, device_id, device_no, seq, key, before,
        conflicts, resolved, state_hash, session_id, created_at,
    ) = row  # fmt: skip
    return LoggedChange(
        document_id=document_id,
        version=version,
        generation=generation,
        base_version=base_version,
        operations=from_bytes(operations),
        verdict=Verdict(verdict),
        detail=None if detail is None else from_bytes(detail),
        device_id=device_id,
        device_no=device_no,
        seq=seq,
        idempotency_key=key,
        operations_hash=digest,
        before=before_from(from_bytes(before)),
        conflicts=[conflict_from_json(item) for item in from_bytes(conflicts)],
        resolved=from_bytes(resolved),
        state_hash=state_hash,
        session_id=session_id,
        created_at=from_micros(created_at),
    )


NOTHING = to_bytes([])


def change_row(change: LoggedChange) -> tuple[Any, ...]:
    """All columns of `changes`."""
    return (
        change.document_id,
        change.version,
        change.generation,
        change.base_version,
        to_bytes(change.operations),
        change.operations_hash,
        change.verdict.value,
        None if change.detail is None else to_bytes(change.detail),
        change.device_id,
        change.device_no,
        change.seq,
        change.idempotency_key,
        to_bytes(before_to(change.before)) if change.before else NOTHING,
        to_bytes([conflict_to_json(conflict) for conflict in change.conflicts]) if change.conflicts else NOTHING,
        to_bytes(change.resolved) if change.resolved else NOTHING,
        change.state_hash,
        change.session_id,
        to_micros(change.created_at),
    )


def before_to(before: Sequence[tuple[str, Any]]) -> list[list[Any]]:
    """Paths and values; nothing there is a path alone."""
    return [[path] if value is ABSENT else [path, value] for path, value in before]


def before_from(items: Sequence[Sequence[Any]]) -> list[tuple[str, Any]]:
    return [(item[0], item[1] if len(item) > 1 else ABSENT) for item in items]


def conflict_values(conflict: Conflict) -> dict[str, Any]:
    return {
        "conflict_id": conflict.conflict_id,
        "document_id": conflict.document_id,
        "path": conflict.path,
        "reason": str(conflict.reason),
        "base": conflict.base,
        "winner": conflict.winner,
        "loser": conflict.loser,
        "winner_device_no": conflict.winner_device_no,
        "loser_device_no": conflict.loser_device_no,
        "version": conflict.version,
        "opened_at": conflict.opened_at,
        "status": conflict.status,
    }


def conflict_from(values: dict[str, Any]) -> Conflict:
    return Conflict(**{**values, "reason": ConflictReason(values["reason"])})


def conflict_to_json(conflict: Conflict) -> dict[str, Any]:
    values = {key: value for key, value in conflict_values(conflict).items() if value is not ABSENT}
    return {**values, "opened_at": conflict.opened_at.isoformat()}


def conflict_from_json(values: dict[str, Any]) -> Conflict:
    return conflict_from({**values, "opened_at": datetime.fromisoformat(values["opened_at"])})


def _moment(micros: int | None) -> datetime | None:
    return None if micros is None else from_micros(micros)
