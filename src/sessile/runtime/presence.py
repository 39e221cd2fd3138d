"""Who is there: verbs of the asyncio facade, for applications and for the nodes that hold sockets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from sessile.engine.presence import PresenceEngine
from sessile.model.presence import DeviceReport, Elsewhere, PresenceLease, SessionPresence
from sessile.model.session import Session

RENEWALS_PER_LEASE: Final = 3.5
"""Two renewals in a row may fail before somebody is taken for gone."""
LAPSED_AT_ONCE: Final = 200
"""Leases of dead nodes that are removed in one transaction."""


class AsyncPresence:
    """Which sessions and devices are connected, over all processes on the store. Each verb can raise StoreUnavailable."""

    def __init__(self, engine: PresenceEngine) -> None:
        self._engine = engine

    async def of_sessions(self, session_ids: Sequence[str]) -> dict[str, SessionPresence]:
        """Each of these sessions, connected or not, with the number of its sockets."""
        return await self._engine.of_sessions(session_ids)

    async def heartbeat(
        self,
        session_id: str,
        *,
        device_id: str | None = None,
        device: Mapping[str, Any] | None = None,
        guessed_label: str = "",
    ) -> Session:
        """A sign of life of a device that has no socket: it is connected for `presence_lease_s` from now. Keeps the facts that it tells of itself
        (`label`, `screen`, `time_zone`, `language`, `platform`), and `guessed_label` for one without a name. Not activity. Raises InvalidValue, and
        like `get_session`."""
        return await self._engine.heartbeat(DeviceReport(session_id, device_id, device or {}, guessed_label))

    async def lapse(self) -> int:
        """Removes a batch of leases that nobody renewed: their devices are disconnected, unless they are connected elsewhere; how many. The
        background work does it anyway."""
        return await self._engine.lapse(LAPSED_AT_ONCE)

    async def connected(self, leases: Sequence[PresenceLease], reports: Sequence[DeviceReport] = ()) -> None:
        """For a node: puts new or changed leases of its devices, and what they say of themselves."""
        await self._engine.connected(leases, reports)

    async def disconnected(self, leases: Sequence[PresenceLease]) -> None:
        """For a node: these devices have left it."""
        await self._engine.disconnected(leases)

    async def renew(self, node_id: str, until: datetime, advanced: Sequence[PresenceLease] = ()) -> int:
        """For a node: all its leases stand until then; how many there are. `advanced` have come further."""
        return await self._engine.renew(node_id, until, advanced)

    async def elsewhere(self, document_id: str, node_id: str) -> Elsewhere:
        """For a node: who has the document open on the others."""
        return await self._engine.elsewhere(document_id, node_id)
