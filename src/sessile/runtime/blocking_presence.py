"""The blocking twin of `AsyncPresence`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sessile.engine.presence import PresenceEngine
from sessile.model.presence import DeviceReport, Elsewhere, PresenceLease, SessionPresence
from sessile.model.session import Session
from sessile.runtime.lane import drive
from sessile.runtime.presence import AsyncPresence


class Presence:
    """Which sessions and devices are connected, over all processes on the store."""

    def __init__(self, engine: PresenceEngine) -> None:
        self._twin = AsyncPresence(engine)

    def of_sessions(self, session_ids: Sequence[str]) -> dict[str, SessionPresence]:
        """Each of these sessions, connected or not, with the number of its sockets."""
        return drive(self._twin.of_sessions(session_ids))

    def heartbeat(
        self,
        session_id: str,
        *,
        device_id: str | None = None,
        device: Mapping[str, Any] | None = None,
        guessed_label: str = "",
    ) -> Session:
        """A sign of life of a device that has no socket: it is connected for `presence_lease_s` from now. Raises InvalidValue, and like
        `get_session`."""
        return drive(self._twin.heartbeat(session_id, device_id=device_id, device=device, guessed_label=guessed_label))

    def lapse(self) -> int:
        """Removes a batch of leases that nobody renewed; how many. Call it every few seconds where no process with sockets runs: there is no
        background work here."""
        return drive(self._twin.lapse())

    def connected(self, leases: Sequence[PresenceLease], reports: Sequence[DeviceReport] = ()) -> None:
        """For a node: puts new or changed leases of its devices, and what they say of themselves."""
        drive(self._twin.connected(leases, reports))

    def disconnected(self, leases: Sequence[PresenceLease]) -> None:
        """For a node: these devices have left it."""
        drive(self._twin.disconnected(leases))

    def renew(self, node_id: str, until: datetime, advanced: Sequence[PresenceLease] = ()) -> int:
        """For a node: all its leases stand until then; how many there are."""
        return drive(self._twin.renew(node_id, until, advanced))

    def elsewhere(self, document_id: str, node_id: str) -> Elsewhere:
        """For a node: who has the document open on the others."""
        return drive(self._twin.elsewhere(document_id, node_id))
