"""What one socket shows of itself: on the boards of its documents, and in the leases of its node."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from sessile.model.presence import DeviceReport, PresenceKey
from sessile.model.session import Session
from sessile.server.realtime.frames import DeviceFacts
from sessile.server.realtime.leases import Leases, Reach
from sessile.server.realtime.presence import Board
from sessile.server.realtime.subscription import Phase, Subscription
from sessile.web.device_label import label_of


class Attendance:
    """Begins with the hello and ends with the socket. Nothing here waits."""

    def __init__(self, leases: Leases) -> None:
        self._leases = leases
        self._label = ""
        self._visible = True
        self._count = 1
        self._own: PresenceKey | None = None
        self._documents: dict[Subscription, PresenceKey] = {}

    def begin(self, session: Session, device_id: str, *, label: str, visible: bool, tabs: int = 1) -> None:
        """The device is connected; the socket serves so many of its tabs."""
        self._label, self._visible, self._count = label, visible, tabs
        self._own = self._leases.key(session.session_id, device_id)
        self._leases.join(self, self._own, label=label, visible=visible, reach=Reach, count=tabs)

    def enter(self, subscription: Subscription) -> None:
        """It has the document open."""
        if self._own is None:
            return
        self._board(subscription).join(
            self,
            subscription.device_no,
            label=self._label,
            visible=self._visible,
            cursor=lambda: subscription.cursor,
            count=self._count,
        )
        key = self._own._replace(document_id=subscription.document_id)
        self._documents[subscription] = key
        reach = lambda: _reach(subscription)  # noqa: E731
        self._leases.join(self, key, label=self._label, visible=self._visible, reach=reach, count=self._count)

    def leave(self, subscription: Subscription) -> None:
        """And no longer; one that was never entered is no harm."""
        self._board(subscription).leave(self, subscription.device_no)
        key = self._documents.pop(subscription, None)
        if key is not None:
            self._leases.leave(self, key)

    def show(self, *, visible: bool, tabs: int = 1) -> None:
        self._visible, self._count = visible, tabs
        for key in self._keys():
            self._leases.show(self, key, visible=visible, count=tabs)
        for subscription in self._documents:
            self._board(subscription).show(self, subscription.device_no, visible=visible, count=tabs)

    def seen(self) -> None:
        """A sign of life."""
        for key in self._keys():
            self._leases.seen(key)
        for subscription in self._documents:
            self._board(subscription).seen(subscription.device_no)

    def end(self) -> None:
        """The socket is closed."""
        if self._own is not None:
            self._leases.leave(self, self._own)

    def _keys(self) -> list[PresenceKey]:
        return [*([self._own] if self._own is not None else ()), *self._documents.values()]

    @staticmethod
    def _board(subscription: Subscription) -> Board:
        return subscription.channel.presence


def _reach(subscription: Subscription) -> Reach:
    return Reach(subscription.cursor, subscription.phase is Phase.LIVE)


def report_of(session: Session, device_id: str | None, facts: DeviceFacts | None, user_agent: str) -> DeviceReport:
    """What a device says of itself, and what its browser says for it."""
    known = msgspec.structs.asdict(facts) if facts is not None else {}
    told: Mapping[str, str] = {name: value for name, value in known.items() if value}
    return DeviceReport(session.session_id, device_id, told, label_of(user_agent))
