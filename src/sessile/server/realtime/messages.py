"""Frames the server sends, as text. Each is built from records by a function named after its type; protocol/schema/server.json describes them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from sessile.model.document import Checkpoint, Document, LoggedChange, Opened, Outcome, Restored
from sessile.model.errors import SessileError
from sessile.model.handoff import Handoff
from sessile.model.limits import (
    CHANGE_BYTES_MAX,
    CHANGES_PER_FRAME_MAX,
    FRAME_BYTES_MAX,
    OPERATIONS_PER_CHANGE_MAX,
    STATE_BYTES_MAX,
)
from sessile.model.maintenance import Maintenance
from sessile.model.platform import Platform
from sessile.model.session import Session
from sessile.model.wire import (
    checkpoint_to_wire,
    conflict_to_wire,
    difference_to_wire,
    handoff_to_wire,
    iso,
    logged_to_wire,
    maintenance_to_wire,
    session_to_wire,
    verdict_to_wire,
)
from sessile.server.realtime.codes import ERROR_CODES, NackReason

PART_ABOVE_BYTES: Final = 64 * 1024
_PART_CHARACTERS: Final = 15_000
"""Four bytes a character at most, whether escaped or not, plus the envelope: a part stays under `PART_ABOVE_BYTES`."""
RETRY_AFTER_MS: Final = 2000

_ENCODER: Final = msgspec.json.Encoder()

LIMITS: Final[Mapping[str, int]] = {
    "frame_bytes_max": FRAME_BYTES_MAX,
    "change_bytes_max": CHANGE_BYTES_MAX,
    "changes_per_frame_max": CHANGES_PER_FRAME_MAX,
    "operations_per_change_max": OPERATIONS_PER_CHANGE_MAX,
    "state_bytes_max": STATE_BYTES_MAX,
}


def encode(frame: Mapping[str, Any]) -> str:
    return _ENCODER.encode(frame).decode()


def cut(text: str, *, ref: str) -> Iterator[str]:
    """A long frame as `part` frames; the joined chunks are its text."""
    count = -(-len(text) // _PART_CHARACTERS)
    for index in range(count):
        chunk = text[index * _PART_CHARACTERS : (index + 1) * _PART_CHARACTERS]
        yield encode({"type": "part", "ref": ref, "part": index + 1, "of": count, "chunk": chunk})


def welcome(
    connection_id: str,
    session: Session,
    platform: Platform | None,
    now: datetime,
    *,
    ping_interval_s: float,
    ping_timeout_s: float,
    documents: Sequence[Mapping[str, Any]],
) -> str:
    return encode(
        {
            "type": "welcome",
            "connection_id": connection_id,
            "server_time": iso(now),
            "session": session_to_wire(session, platform),
            "ping_interval_ms": round(ping_interval_s * 1000),
            "lost_after_ms": round(1000 * (1.1 * ping_interval_s + ping_timeout_s + 3)),
            "limits": LIMITS,
            "documents": documents,
        }
    )


def opened_entry(opened: Opened) -> dict[str, Any]:
    """OPENED of a document that could be opened."""
    document = opened.document
    return {
        "document_id": document.document_id,
        "name": document.name,
        "device_no": opened.device_no,
        "last_seq": opened.last_seq,
        "epoch": document.epoch,
        "version": document.version,
    }


def refused_entry(error: SessileError, *, document_id: str | None, name: str | None) -> dict[str, Any]:
    """OPENED of one that could not."""
    entry: dict[str, Any] = {"error": {"code": error.code, "message": error.message, "retryable": error.retryable}}
    if document_id is not None:
        entry["document_id"] = document_id
    if name is not None:
        entry["name"] = name
    return entry


def subscribed(request_id: str, documents: Sequence[Mapping[str, Any]]) -> str:
    return encode({"type": "subscribed", "request_id": request_id, "documents": documents})


def initial_state_body(opened: Opened, state_hash: str) -> dict[str, Any]:
    document = opened.document
    return {
        "type": "initial_state",
        "document_id": document.document_id,
        "name": document.name,
        "epoch": document.epoch,
        "version": document.version,
        "generation": document.generation,
        "timestamp": iso(document.updated_at),
        "state": document.state,
        "hash": state_hash,
        "last_seq": opened.last_seq,
        "conflicts": [conflict_to_wire(conflict) for conflict in opened.conflicts],
    }


def state_update_body(
    document_id: str, epoch: str, generation: int, from_version: int, changes: Sequence[LoggedChange]
) -> dict[str, Any]:
    """`changes` are contiguous and at least one; `from` is the version before the first."""
    return {
        "type": "state_update",
        "document_id": document_id,
        "epoch": epoch,
        "generation": generation,
        "from": from_version,
        "to": changes[-1].version,
        "timestamp": iso(changes[-1].created_at),
        "changes": [logged_to_wire(change) for change in changes],
    }


def unchanged_body(document: Document) -> dict[str, Any]:
    """A `state_update` without changes: the answer to a resume that missed nothing."""
    return {
        "type": "state_update",
        "document_id": document.document_id,
        "epoch": document.epoch,
        "generation": document.generation,
        "from": document.version,
        "to": document.version,
        "timestamp": iso(document.updated_at),
        "changes": [],
    }


def ack_body(outcome: Outcome) -> dict[str, Any]:
    return {
        "type": "ack",
        "document_id": outcome.document_id,
        "epoch": outcome.epoch,
        "seq": outcome.logged[-1].seq,
        "verdicts": [verdict_to_wire(change) for change in outcome.logged],
    }


def nack_body(
    document_id: str, expected_seq: int, reason: NackReason, *, retry_after_ms: int | None = None
) -> dict[str, Any]:
    body = {"type": "nack", "document_id": document_id, "expected_seq": expected_seq, "reason": str(reason)}
    return body if retry_after_ms is None else {**body, "retry_after_ms": retry_after_ms}


def checkpoint_saved(checkpoint: Checkpoint, epoch: str, request_id: str | None = None) -> str:
    frame = {
        "type": "checkpoint_saved",
        "document_id": checkpoint.document_id,
        "epoch": epoch,
        "version": checkpoint.version,
        "timestamp": iso(checkpoint.created_at),
        "checkpoint": checkpoint_to_wire(checkpoint),
    }
    return encode(frame if request_id is None else {**frame, "request_id": request_id})


def restore_preview_body(restored: Restored) -> dict[str, Any]:
    return {
        "type": "restore_preview",
        "document_id": restored.document.document_id,
        "checkpoint_id": restored.checkpoint.checkpoint_id,
        "version": restored.document.version,
        "differences": [difference_to_wire(difference) for difference in restored.differences],
    }


def session_restored_body(restored: Restored) -> dict[str, Any]:
    document, last = restored.document, restored.changes[-1] if restored.changes else None
    return {
        "type": "session_restored",
        "document_id": document.document_id,
        "epoch": document.epoch,
        "generation": document.generation,
        "version": last.version if last is not None else document.version,
        "timestamp": iso(last.created_at if last is not None else document.updated_at),
        "checkpoint_id": restored.checkpoint.checkpoint_id,
        "before_checkpoint_id": restored.before.checkpoint_id if restored.before is not None else None,
        "device_no": last.device_no if last is not None else 0,
    }


def presence_state(document_id: str, devices: Sequence[Mapping[str, Any]]) -> str:
    return encode({"type": "presence_state", "document_id": document_id, "devices": devices})


def presence_diff(document_id: str, devices: Sequence[Mapping[str, Any]], left: Sequence[int]) -> str:
    return encode({"type": "presence_diff", "document_id": document_id, "devices": devices, "left": left})


def session_changed(session_id: str, *, refresh: bool = False) -> str:
    """`refresh`: the session is to get a new token, by POST /api/v0/session/refresh."""
    return encode({"type": "session_changed", "session_id": session_id, "reload": True, "refresh": refresh})


def session_expiring(session: Session) -> str:
    return encode(
        {
            "type": "session_expiring",
            "session_id": session.session_id,
            "expires_at": iso(session.expires_at),
            "can_extend": session.can_extend,
        }
    )


def session_ended(session_id: str, reason: str, clock: str | None = None) -> str:
    frame = {"type": "session_ended", "session_id": session_id, "reason": reason}
    return encode(frame if clock is None else {**frame, "clock": clock})


def handoff_changed(handoff: Handoff) -> str:
    return encode({"type": "handoff_changed", "session_id": handoff.session_id, **handoff_to_wire(handoff)})


def ping(now: datetime, heads: Mapping[str, tuple[str, int]]) -> str:
    return encode({"type": "ping", "at": iso(now), "heads": heads})


def goaway(reason: str, *, retry_min_ms: int, retry_max_ms: int) -> str:
    return encode({"type": "goaway", "reason": reason, "retry_min_ms": retry_min_ms, "retry_max_ms": retry_max_ms})


def maintenance(known: Maintenance | None) -> str:
    """None: it is over, or was called off."""
    return encode({"type": "maintenance", "maintenance": maintenance_to_wire(known)})


def error(problem: SessileError, ref: str | None = None) -> str:
    frame = {"type": "error", "code": _listed(problem), "message": problem.message, "retryable": problem.retryable}
    return encode(frame if ref is None else {**frame, "ref": ref})


def _listed(problem: SessileError) -> str:
    """The list of codes is closed: what only HTTP tells apart is said with the nearest one."""
    if problem.code in ERROR_CODES:
        return problem.code
    return "invalid_change" if problem.http_status < 500 else "internal"
