"""Maintenance at the sockets: people are told of it, and where it drains, sockets of whoever is not spared are closed bit by bit and come back afterwards.

It is read when news of it comes, at its own times, and once in a ping interval: so a process that missed the news knows of it then at the latest.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import datetime, timedelta
from math import ceil
from typing import TYPE_CHECKING, Final

from sessile.model.errors import StoreUnavailable
from sessile.model.maintenance import Maintenance
from sessile.model.session import Principal, Session
from sessile.server.realtime import messages

if TYPE_CHECKING:
    from sessile.server.realtime.connection import Connection
    from sessile.server.realtime.hub import Hub

_log = logging.getLogger("sessile.server")

KNOWN_WITHIN_S: Final = 1.0
"""So long a new socket waits for the first look; a store that is away is told in another way."""
TURNS: Final = 100
"""A drain is spread over `drain_timeout_s` in so many turns."""
RETRY_MIN_S: Final = 5.0
RETRY_MAX_S: Final = 60.0
"""Clients come back after so long at most, in case it has ended earlier than was said: they are sent away again where it has not."""
RETRY_SPREAD_S: Final = 30.0


class MaintenanceWatch:
    """One for each hub."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._known: Maintenance | None = None
        self._has_looked = asyncio.Event()
        self._is_reading = self._read_again = False
        self._checked_at = float("-inf")
        self._timer: asyncio.TimerHandle | None = None
        self._is_sending_away = False

    @property
    def is_draining(self) -> bool:
        return self._known is not None and self._known.drains and self._known.is_in_force(self._hub.now())

    def look(self) -> None:
        """Reads it once for everybody. Calls during a read lead to one more."""
        self._read_again = True
        if not self._is_reading:
            self._is_reading = True
            self._hub.spawn(self._read())

    def check(self) -> None:
        """Looks, once in a ping interval."""
        now = asyncio.get_running_loop().time()
        if now - self._checked_at >= self._hub.settings.ping_interval_s / 2:
            self.look()

    async def ready(self) -> None:
        """Returns when it has been read once, or could not be in time."""
        if self._has_looked.is_set():
            return
        try:
            async with asyncio.timeout(KNOWN_WITHIN_S):
                await self._has_looked.wait()
        except TimeoutError:
            _log.info("whether there is maintenance is not known yet", extra={"event_name": "maintenance_unknown"})

    def greet(self, connection: Connection) -> None:
        """Tells a socket that was just welcomed."""
        if self._known is not None:
            connection.outbox.push(messages.maintenance(self._known))

    async def lets_in(self, session: Session, known: dict[str, bool] | None = None) -> bool:
        """Whether a socket of this session may stay. `known` remembers the answers by user."""
        underway = self._known
        if underway is None or not self.is_draining:
            return True
        user_id = session.user_id
        if user_id is None or not underway.roles_spared:
            return False
        known = {} if known is None else known
        if user_id not in known:
            try:
                principal = await self._hub.manager.get_principal(user_id)
            except StoreUnavailable:
                return True  # nobody is sent away on a guess; the next look asks again
            known[user_id] = underway.spares(principal or Principal(user_id))
        return known[user_id]

    def goaway(self) -> str:
        """When clients are to come back: spread, so that the end of the maintenance is no rush."""
        until = None if self._known is None else self._known.until
        left_s = RETRY_MAX_S if until is None else (until - self._hub.now()).total_seconds()
        least_s = min(max(left_s, RETRY_MIN_S), RETRY_MAX_S)
        most_ms = round(1000 * (least_s + RETRY_SPREAD_S))
        return messages.goaway("maintenance", retry_min_ms=round(1000 * least_s), retry_max_ms=most_ms)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    async def _read(self) -> None:
        try:
            while self._read_again:
                self._read_again = False
                self._checked_at = asyncio.get_running_loop().time()
                self._apply(await self._hub.manager.maintenance.announced())
        except StoreUnavailable:
            _log.info("a look at the maintenance waits for the store", extra={"event_name": "maintenance_waits"})
        finally:
            self._is_reading = False
            self._has_looked.set()

    def _apply(self, now_known: Maintenance | None) -> None:
        before, self._known = self._known, now_known
        if before != now_known:
            for connection in self._hub.identified():
                connection.outbox.push(messages.maintenance(now_known))
        self._wake_at(self._next_moment())
        if self.is_draining and not self._hub.draining and not self._is_sending_away:
            self._is_sending_away = True
            self._hub.spawn(self._send_away())

    def _next_moment(self) -> datetime | None:
        if self._known is None:
            return None
        return self._known.until if self._known.is_in_force(self._hub.now()) else self._known.since

    def _wake_at(self, moment: datetime | None) -> None:
        self.close()
        if moment is not None:
            left = max(moment - self._hub.now(), timedelta())
            self._timer = asyncio.get_running_loop().call_later(left.total_seconds(), self.look)

    async def _send_away(self) -> None:
        waiting, known = self._hub.identified(), dict[str, bool]()
        at_once = max(1, ceil(len(waiting) / TURNS))
        try:
            for start in range(0, len(waiting), at_once):
                for connection in waiting[start : start + at_once]:
                    if not await self.lets_in(connection.session, known):
                        self._hub.spawn(connection.drain(self.goaway()))
                if not self.is_draining:
                    return
                await asyncio.sleep(self._hub.settings.drain_timeout_s / TURNS)
        finally:
            self._is_sending_away = False
