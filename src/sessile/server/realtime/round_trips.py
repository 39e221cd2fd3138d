"""How long pings take to come back: for operators, so an estimate over the last minutes is enough, and a socket pays a few stores for it."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Final
from weakref import WeakKeyDictionary, WeakSet

if TYPE_CHECKING:
    from sessile.server.realtime.connection import Connection

KEPT: Final = 2048
"""Round trips that percentiles are made of."""
_FOR_S: Final = 120.0
_ROUNDED: Final = 2


class RoundTrips:
    """Of the sockets of one process. A stream of events is not pinged over the network, so it has none."""

    def __init__(self) -> None:
        self._pinged: WeakKeyDictionary[Connection, float] = WeakKeyDictionary()
        self._ignored: WeakSet[Connection] = WeakSet()
        self._of_session: dict[str, float] = {}
        self._kept: deque[tuple[float, float]] = deque(maxlen=KEPT)

    def ignore(self, connection: Connection) -> None:
        """It is a stream of events, which answers its pings itself."""
        self._ignored.add(connection)

    def pinged(self, connection: Connection) -> None:
        """A ping was handed to the socket just now."""
        if connection not in self._ignored:
            self._pinged[connection] = asyncio.get_running_loop().time()

    def ponged(self, connection: Connection) -> None:
        """Its answer is the frame that came last."""
        at = self._pinged.pop(connection, None)
        if at is not None:
            taken_ms = (connection.last_received_at - at) * 1000
            self._kept.append((connection.last_received_at, taken_ms))
            self._of_session[connection.session.session_id] = round(taken_ms, _ROUNDED)

    def forget(self, session_id: str) -> None:
        """The session's last socket here has gone."""
        self._of_session.pop(session_id, None)

    def of_session(self, session_id: str) -> float | None:
        """The last one of the session's sockets here, in milliseconds."""
        return self._of_session.get(session_id)

    def percentiles(self) -> tuple[float | None, float | None, int]:
        """The 50th and the 95th, in milliseconds, and of how many: those of the last two minutes."""
        since = asyncio.get_running_loop().time() - _FOR_S
        taken = sorted(taken_ms for at, taken_ms in self._kept if at >= since)
        if not taken:
            return None, None, 0
        return at_share(taken, 0.5), at_share(taken, 0.95), len(taken)


def at_share(ordered: list[float], share: float) -> float:
    """The value below which that share of them lies (nearest rank)."""
    return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], _ROUNDED)
