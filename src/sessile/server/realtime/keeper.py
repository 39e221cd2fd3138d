"""Pings, and what is looked at with each of them: the peer, the session, the documents' heads."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from sessile.server.realtime import messages
from sessile.server.realtime.codes import CloseCode

if TYPE_CHECKING:
    from sessile.server.realtime.connection import Connection

JITTER: Final = 0.1
_HEAD_CHECK_SHARE: Final = 0.8
"""A document is looked at once per ping interval, not once per socket."""


class Keeper:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._hub = connection.hub
        self._warned_at_deadline: object = None

    async def run(self) -> None:
        """Until the socket is closed: by this when the peer is silent or the session is over."""
        connection, settings = self._connection, self._hub.settings
        loop = asyncio.get_running_loop()
        ping_at = loop.time() + self._interval_s()
        silent_since: float | None = None
        while True:
            deadline = silent_since + settings.ping_timeout_s if silent_since is not None else ping_at
            await asyncio.sleep(max(0.0, min(ping_at, deadline) - loop.time()))
            now = loop.time()
            if silent_since is not None and connection.last_received_at >= silent_since:
                silent_since = None
            elif silent_since is not None and now >= deadline:
                if connection.awaits_peer:
                    connection.close(CloseCode.PING_TIMEOUT)
                silent_since = now  # the reader is busy with a frame, so there was one
            if now >= ping_at:
                connection.outbox.push(messages.ping(self._hub.now(), self._heads()))
                self._hub.round_trips.pinged(connection)
                silent_since = silent_since if silent_since is not None else now
                ping_at = now + self._interval_s()
                if await connection.refresh_session():
                    self._warn_of_expiry()
                self._look_at_heads(now)
                self._hub.maintenance.check()

    def _interval_s(self) -> float:
        return self._hub.settings.ping_interval_s * self._hub.jitter.uniform(1 - JITTER, 1 + JITTER)

    def _heads(self) -> dict[str, tuple[str, int]]:
        heads = {}
        for document_id, subscription in self._connection.subscriptions.items():
            head = subscription.channel.head
            if head is not None:
                heads[document_id] = head
        return heads

    def _look_at_heads(self, now: float) -> None:
        """Heals a lost hint: asks the store for what is above the known head and who else is there, and wakes readers that stand still."""
        for subscription in tuple(self._connection.subscriptions.values()):
            subscription.check()
            channel = subscription.channel
            if channel.checked_at <= now - _HEAD_CHECK_SHARE * self._hub.settings.ping_interval_s:
                channel.checked_at = now
                channel.look()
                channel.around.look()

    def _warn_of_expiry(self) -> None:
        """Once for each deadline: activity moves it, and the new one gets its own warning."""
        session = self._connection.session
        deadline = session.expires_at
        left = deadline - self._hub.now()
        if left <= timedelta(seconds=self._hub.settings.warning_s) and deadline != self._warned_at_deadline:
            self._warned_at_deadline = deadline
            self._connection.outbox.push(messages.session_expiring(session))
