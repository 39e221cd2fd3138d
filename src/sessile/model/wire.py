"""Records as they go over the wire (`protocol/README.md`), for the server and for the Python client."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sessile.model.activity import Activity
from sessile.model.document import ABSENT, Checkpoint, Conflict, Difference, Document, LoggedChange
from sessile.model.handoff import Handoff
from sessile.model.maintenance import Maintenance
from sessile.model.platform import Platform
from sessile.model.presence import DeviceStanding
from sessile.model.session import Session


def iso(moment: datetime) -> str:
    """ISO 8601 in UTC with milliseconds and Z."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def iso_or_none(moment: datetime | None) -> str | None:
    return None if moment is None else iso(moment)


def _present(**values: Any) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not ABSENT}


def conflict_to_wire(conflict: Conflict) -> dict[str, Any]:
    return {
        "conflict_id": conflict.conflict_id,
        "path": conflict.path,
        "reason": str(conflict.reason),
        **_present(base=conflict.base, winner=conflict.winner, loser=conflict.loser),
        "winner_device_no": conflict.winner_device_no,
        "loser_device_no": conflict.loser_device_no,
        "version": conflict.version,
        "opened_at": iso(conflict.opened_at),
    }


def logged_to_wire(change: LoggedChange) -> dict[str, Any]:
    wire: dict[str, Any] = {
        "version": change.version,
        "generation": change.generation,
        "device_no": change.device_no,
        "seq": change.seq,
        "operations": change.operations,
        "verdict": str(change.verdict),
        "at": iso(change.created_at),
    }
    if change.detail:
        wire["detail"] = change.detail
    if change.conflicts:
        wire["conflicts"] = [conflict_to_wire(conflict) for conflict in change.conflicts]
    if change.resolved:
        wire["resolved"] = list(change.resolved)
    if change.state_hash is not None:
        wire["hash"] = change.state_hash
    return wire


def verdict_to_wire(change: LoggedChange) -> dict[str, Any]:
    """One entry of an ack."""
    wire: dict[str, Any] = {"seq": change.seq, "version": change.version, "verdict": str(change.verdict)}
    if change.detail:
        wire["detail"] = change.detail
    if change.conflicts:
        wire["conflicts"] = [conflict.conflict_id for conflict in change.conflicts]
    return wire


def checkpoint_to_wire(checkpoint: Checkpoint) -> dict[str, Any]:
    return {
        "checkpoint_id": checkpoint.checkpoint_id,
        "document_id": checkpoint.document_id,
        "version": checkpoint.version,
        "kind": str(checkpoint.kind),
        "label": checkpoint.label,
        "step": checkpoint.step,
        "created_at": iso(checkpoint.created_at),
        "device_no": checkpoint.device_no,
    }


def difference_to_wire(difference: Difference) -> dict[str, Any]:
    return {"path": difference.path, **_present(current=difference.current, restored=difference.restored)}


def change_of_point_to_wire(difference: Difference) -> dict[str, Any]:
    """One entry of a diff: a side that is not there had nothing at the path."""
    sides = {"from": difference.current, "to": difference.restored}
    return {"path": difference.path, **_present(**sides)}


def activity_to_wire(entry: Activity) -> dict[str, Any]:
    """One entry of the activity: `type`, `at`, and the record under the name of its source."""
    wire: dict[str, Any] = {"type": entry.type, "at": iso(entry.at)}
    if entry.change is not None:
        wire["change"] = logged_to_wire(entry.change)
    if entry.checkpoint is not None:
        wire["checkpoint"] = checkpoint_to_wire(entry.checkpoint)
    if entry.event is not None:
        wire["event"] = {"position": entry.event.position, "user_id": entry.event.user_id, "data": entry.event.data}
    return wire


def document_to_wire(document: Document) -> dict[str, Any]:
    """A document over HTTP: position, times, state."""
    return {
        "document_id": document.document_id,
        "name": document.name,
        "epoch": document.epoch,
        "version": document.version,
        "generation": document.generation,
        "status": document.status,
        "kind": document.schema_name or None,
        "kind_version": document.schema_version,
        "created_at": iso(document.created_at),
        "updated_at": iso(document.updated_at),
        "last_activity_at": iso(document.last_activity_at),
        "state": document.state,
    }


def maintenance_to_wire(maintenance: Maintenance | None) -> dict[str, Any] | None:
    """What people are told of it."""
    if maintenance is None:
        return None
    return {
        "message": maintenance.message,
        "since": iso(maintenance.since),
        "until": iso(maintenance.until) if maintenance.until is not None else None,
    }


def handoff_to_wire(handoff: Handoff) -> dict[str, Any]:
    """What the device that offered it may know: never a code."""
    return {
        "handoff_id": handoff.handoff_id,
        "status": str(handoff.status),
        "device": dict(handoff.device) or None,
        "expires_at": iso(handoff.expires_at),
    }


def platform_to_wire(platform: Platform | None) -> dict[str, Any] | None:
    """What a page may know of the platform it works on."""
    if platform is None:
        return None
    return {
        "id": platform.platform_id,
        "name": platform.name,
        "kind": platform.kind,
        "is_default": platform.is_default,
    }


def session_to_wire(session: Session, platform: Platform | None) -> dict[str, Any]:
    """What a page may know of its session (decisions 3.3): never `data`, never a token. `platform` is the one that the session is on, or that
    the page has instead of it."""
    return {
        "session_id": session.session_id,
        "user": {**session.public, "id": session.user_id} if session.user_id is not None else None,
        "platform": platform_to_wire(platform),
        "created_at": iso(session.created_at),
        "last_activity": iso(session.last_seen_at),
        "idle_expires_at": iso(session.idle_expires_at),
        "absolute_expires_at": iso(session.absolute_expires_at),
        "expires_at": iso(session.expires_at),
        "can_extend": session.can_extend,
        "remembered": session.is_remembered,
    }


def standing_to_wire(device: DeviceStanding) -> dict[str, Any]:
    """One entry of a document's devices: others' by their number and label, never by their id."""
    return {
        "device_no": device.device_no,
        "label": device.label,
        "is_own": device.is_own,
        "is_primary": device.is_primary,
        "is_connected": device.is_connected,
        "tabs": device.tabs,
        "visible": device.visible,
        "behind": device.behind,
        "last_active_at": iso(device.last_active_at),
        "disconnected_at": iso_or_none(device.disconnected_at),
        "reconnected_at": iso_or_none(device.reconnected_at),
    }
