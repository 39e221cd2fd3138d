"""What the service answers over HTTP, as records. Times are UTC. Sessions and platforms stay as the wire has them (SESSION and PLATFORM of
protocol/README.md), like `Client.session`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sessile.client.records import Frame, SavedCheckpoint, checkpoint_from
from sessile.model.document import ABSENT, Difference, State
from sessile.model.handoff import HandoffStatus

SessionFacts = Mapping[str, Any]
"""SESSION of protocol/README.md."""
PlatformFacts = Mapping[str, Any]
"""PLATFORM of protocol/README.md."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Maintenance:
    """Nobody new is let in from `since` on, which can lie ahead. `until` is None when nobody knows; `since`, when an older service does not say."""

    message: str
    since: datetime | None
    until: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What the token is worth. `reason` says why nobody is logged in: `unknown`, `expired:idle`, `expired:absolute`, `ended:<reason>`,
    `anonymous`, `superseded`; None when somebody is. `expiry_warning_s` is how long before its end a session tells so."""

    is_authenticated: bool
    reason: str | None
    session: SessionFacts | None
    expiry_warning_s: float | None
    maintenance: Maintenance | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceInfo:
    """The service answers."""

    server_time: datetime
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredDocument:
    """A document as the service keeps it. `state` is None in lists. `kind` is None for one without a kind."""

    document_id: str
    name: str
    epoch: str
    version: int
    generation: int
    status: str
    kind: str | None
    kind_version: int | None
    created_at: datetime
    updated_at: datetime
    last_activity_at: datetime
    state: State | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivityEntry:
    """One thing that happened: a LOGGED change of protocol/README.md, a checkpoint, or an event (`position`, `user_id`, `data`)."""

    type: str
    at: datetime
    change: Frame | None
    checkpoint: SavedCheckpoint | None
    event: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivityEntries:
    """Newest first. `before` leads to the next page; None on the last one."""

    entries: Sequence[ActivityEntry]
    before: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownDevice:
    """A device that has worked on a document, here or away. `behind`: how many versions it has not been sent yet."""

    device_no: int
    label: str
    is_own: bool
    is_primary: bool
    is_connected: bool
    tabs: int
    visible: bool
    behind: int
    last_active_at: datetime | None
    disconnected_at: datetime | None
    reconnected_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferedHandoff:
    """A way in for another device: `code` to be typed, `url` and `qr_svg` (an SVG text) to be scanned. Good once, until `expires_at`."""

    handoff_id: str
    code: str = field(repr=False)
    url: str = field(repr=False)
    qr_svg: str = field(repr=False)
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class HandoffState:
    """Where a hand-off is. `device` are the facts of the one that asks, None until one does."""

    handoff_id: str
    status: HandoffStatus
    device: Mapping[str, Any] | None
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoredSession:
    """What has become of an outbox and a backup: the bodies of the frames `ack`, `nack` and `initial_state`, and the backup's verdict."""

    ack: Mapping[str, Any] | None
    nack: Mapping[str, Any] | None
    backup: Mapping[str, Any] | None
    state: Mapping[str, Any]


def standing_from(raw: Mapping[str, Any]) -> Standing:
    return Standing(
        is_authenticated=raw["authenticated"],
        reason=raw.get("reason"),
        session=raw["session"],
        expiry_warning_s=raw.get("expiry_warning_s"),
        maintenance=maintenance_from(raw.get("maintenance")),
    )


def maintenance_from(raw: Mapping[str, Any] | None) -> Maintenance | None:
    if raw is None:
        return None
    return Maintenance(message=raw["message"], since=_moment(raw.get("since")), until=_moment(raw.get("until")))


def document_from(raw: Mapping[str, Any]) -> StoredDocument:
    return StoredDocument(
        document_id=raw["document_id"],
        name=raw["name"],
        epoch=raw["epoch"],
        version=raw["version"],
        generation=raw["generation"],
        status=raw["status"],
        kind=raw.get("kind"),
        kind_version=raw.get("kind_version"),
        created_at=datetime.fromisoformat(raw["created_at"]),
        updated_at=datetime.fromisoformat(raw["updated_at"]),
        last_activity_at=datetime.fromisoformat(raw["last_activity_at"]),
        state=raw.get("state"),
    )


def activity_from(raw: Mapping[str, Any]) -> ActivityEntry:
    checkpoint = raw.get("checkpoint")
    return ActivityEntry(
        type=raw["type"],
        at=datetime.fromisoformat(raw["at"]),
        change=raw.get("change"),
        checkpoint=None if checkpoint is None else checkpoint_from(checkpoint),
        event=raw.get("event"),
    )


def known_device_from(raw: Mapping[str, Any]) -> KnownDevice:
    return KnownDevice(
        device_no=raw["device_no"],
        label=raw["label"],
        is_own=raw["is_own"],
        is_primary=raw["is_primary"],
        is_connected=raw["is_connected"],
        tabs=raw["tabs"],
        visible=raw["visible"],
        behind=raw["behind"],
        last_active_at=_moment(raw.get("last_active_at")),
        disconnected_at=_moment(raw.get("disconnected_at")),
        reconnected_at=_moment(raw.get("reconnected_at")),
    )


def point_difference_from(raw: Mapping[str, Any]) -> Difference:
    """`current` is the value at the first point, `restored` at the second."""
    return Difference(raw["path"], raw.get("from", ABSENT), raw.get("to", ABSENT))


def offered_from(raw: Mapping[str, Any]) -> OfferedHandoff:
    return OfferedHandoff(
        handoff_id=raw["handoff_id"],
        code=raw["code"],
        url=raw["url"],
        qr_svg=raw["qr_svg"],
        expires_at=datetime.fromisoformat(raw["expires_at"]),
    )


def handoff_state_from(raw: Mapping[str, Any]) -> HandoffState:
    return HandoffState(
        handoff_id=raw["handoff_id"],
        status=HandoffStatus(raw["status"]),
        device=raw.get("device"),
        expires_at=datetime.fromisoformat(raw["expires_at"]),
    )


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
