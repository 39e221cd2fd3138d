"""Who is there: leases that nodes hold for the devices on their sockets, and what is shown of them.

A node (a process with sockets) writes a lease for each of its devices and renews all of them with one statement. A device is there as long as
a lease of it stands, on whichever node. Removing the last one is what disconnects it: by its node when its sockets have been closed for a while,
by anybody when the node has died and the lease has lapsed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

HTTP_NODE: Final = "http"
"""The node of leases that signs of life over HTTP renew one by one: no socket, so no node that could renew them."""
_TICK: Final = timedelta(microseconds=1)


class PresenceKey(NamedTuple):
    """`document_id` is empty for the session itself."""

    node_id: str
    session_id: str
    device_id: str
    document_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PresenceLease:
    """One device of one session on one node, in one document or (`document_id` empty) at all. Times are UTC."""

    node_id: str
    session_id: str
    device_id: str
    document_id: str = ""
    label: str = ""
    tabs: int = 1
    """Open sockets; 0 while the device is not given up yet."""
    visible: bool = True
    version: int = 0
    """How far it had been brought when this was written."""
    is_following: bool = True
    """Whether it is given everything that comes. Then it is not behind, however old `version` is; so a change does not write a row a reader."""
    seen_at: datetime
    lease_until: datetime

    @property
    def key(self) -> PresenceKey:
        return PresenceKey(self.node_id, self.session_id, self.device_id, self.document_id)


@dataclass(frozen=True, slots=True)
class DeviceReport:
    """What a device says of itself. `guessed_label` is for one that has no name and is given none."""

    session_id: str
    device_id: str | None
    facts: Mapping[str, Any] = field(default_factory=dict)
    guessed_label: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DevicePresence:
    """One device in one document, put together from its leases."""

    device_no: int
    label: str
    tabs: int
    visible: bool
    version: int
    is_following: bool
    last_seen_at: datetime

    def behind(self, head: int) -> int:
        """Versions that it has not been given yet."""
        return 0 if self.is_following else max(0, head - self.version)


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """Who has a document open on other nodes, and which device made the latest human change."""

    devices: Sequence[DevicePresence] = ()
    primary_no: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceStanding:
    """A device that has ever opened a document, as it is now."""

    device_no: int
    label: str
    is_own: bool
    is_primary: bool
    is_connected: bool
    tabs: int
    visible: bool
    behind: int
    """Versions it has not been given yet; of one that is away, those since it left."""
    last_active_at: datetime
    disconnected_at: datetime | None
    reconnected_at: datetime | None


@dataclass(frozen=True, slots=True)
class SessionPresence:
    """Whether a session has a connection now, and how many sockets."""

    is_connected: bool = False
    tabs: int = 0
    visible: bool = False


def merged(device_no: int, leases: Sequence[PresenceLease]) -> DevicePresence:
    """One device on several nodes is one device: tabs summed, visible anywhere, as far as the best of them. There is at least one lease."""
    latest = max(leases, key=lambda lease: (lease.seen_at, lease.node_id))
    return DevicePresence(
        device_no=device_no,
        label=latest.label,
        tabs=sum(lease.tabs for lease in leases),
        visible=any(lease.visible for lease in leases),
        version=max(lease.version for lease in leases),
        is_following=any(lease.is_following for lease in leases),
        last_seen_at=latest.seen_at,
    )


def is_away(disconnected_at: datetime | None, reconnected_at: datetime | None) -> bool:
    """Whether the disconnection was the later of the two."""
    return disconnected_at is not None and (reconnected_at is None or reconnected_at < disconnected_at)


def disconnection_at(now: datetime, reconnected_at: datetime | None) -> datetime:
    """Now, but after the reconnection in any case: which of the two was later is what tells whether somebody is away."""
    return now if reconnected_at is None or reconnected_at < now else reconnected_at + _TICK


def reconnection_at(now: datetime, disconnected_at: datetime) -> datetime:
    """Now, but not before the disconnection, whatever the clocks of two nodes say."""
    return max(now, disconnected_at)
