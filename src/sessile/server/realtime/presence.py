"""Which devices have a document open, here and on other nodes. A device is somebody's browser; its tabs are its sockets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from sessile.model.presence import DevicePresence, Elsewhere
from sessile.model.wire import iso
from sessile.web.device_label import UNKNOWN_LABEL, label_of

DIFF_DELAY_S: Final = 0.25


@dataclass(slots=True)
class Tab:
    """One socket of a device. `cursor` tells how far it has been brought up to date."""

    visible: bool
    cursor: Callable[[], int]
    count: int = 1
    """Tabs of the browser that it serves."""


@dataclass(slots=True)
class LocalDevice:
    """A device with sockets of this process."""

    device_no: int
    label: str
    last_seen_at: datetime
    tabs: dict[object, Tab] = field(default_factory=dict)
    version: int = 0
    """How far it had come when its last tab was closed."""
    leaving: asyncio.TimerHandle | None = None

    def behind(self, head: int) -> int:
        """Versions that its best tab lacks."""
        return max(0, head - max((tab.cursor() for tab in self.tabs.values()), default=self.version))


class Board:
    """The devices of one document; one that is here and on another node is one device. `announce(devices, left)` is called with what changed, at most every `DIFF_DELAY_S`."""

    def __init__(
        self,
        announce: Callable[[list[dict[str, Any]], list[int]], None],
        *,
        now: Callable[[], datetime],
        head: Callable[[], int],
        leave_after_s: float,
        diff_delay_s: float = DIFF_DELAY_S,
    ) -> None:
        self._announce = announce
        self._now = now
        self._head = head
        self._leave_after_s = leave_after_s
        self._diff_delay_s = diff_delay_s
        self._devices: dict[int, LocalDevice] = {}
        self._elsewhere: dict[int, DevicePresence] = {}
        self._changed: set[int] = set()
        self._left: set[int] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._primary_no: int | None = None
        self._is_closed = False

    def state(self) -> list[dict[str, Any]]:
        """Every device, for somebody who has just come."""
        return [self._describe(number) for number in sorted(self._devices.keys() | self._elsewhere.keys())]

    def join(
        self, tab: object, device_no: int, *, label: str, visible: bool, cursor: Callable[[], int], count: int = 1
    ) -> None:
        device = self._devices.get(device_no)
        if device is None:
            device = self._devices[device_no] = LocalDevice(device_no, label, self._now())
        if device.leaving is not None:
            device.leaving.cancel()
            device.leaving = None
        device.label, device.last_seen_at = label, self._now()
        device.tabs[tab] = Tab(visible, cursor, count)
        self._left.discard(device_no)
        self._note(device_no)

    def leave(self, tab: object, device_no: int) -> None:
        """A tab's socket is closed. The device itself leaves when it has had none for `leave_after_s`."""
        device = self._devices.get(device_no)
        gone = device.tabs.pop(tab, None) if device is not None else None
        if device is None or gone is None:
            return
        device.version = gone.cursor()
        device.last_seen_at = self._now()
        self._note(device_no)
        if not device.tabs:
            loop = asyncio.get_running_loop()
            device.leaving = loop.call_later(self._leave_after_s, self._gone, device_no)

    def show(self, tab: object, device_no: int, *, visible: bool, count: int = 1) -> None:
        device = self._devices.get(device_no)
        shown = device.tabs.get(tab) if device is not None else None
        if device is not None and shown is not None and (shown.visible, shown.count) != (visible, count):
            shown.visible, shown.count = visible, count
            device.last_seen_at = self._now()
            self._note(device_no)

    def seen(self, device_no: int) -> None:
        """A sign of life: changes `last_seen_at` for the next who looks, announces nothing."""
        device = self._devices.get(device_no)
        if device is not None:
            device.last_seen_at = self._now()

    def set_primary(self, device_no: int) -> None:
        """The device of the latest human change; informative only."""
        if device_no == self._primary_no:
            return
        previous, self._primary_no = self._primary_no, device_no
        for number in (previous, device_no):
            if number is not None and (number in self._devices or number in self._elsewhere):
                self._note(number)

    def set_elsewhere(self, elsewhere: Elsewhere) -> None:
        """Who has the document open on other nodes now, all of them; what differs is announced."""
        if self._primary_no is None and elsewhere.primary_no is not None:
            self.set_primary(elsewhere.primary_no)
        before, self._elsewhere = self._elsewhere, {device.device_no: device for device in elsewhere.devices}
        for number in before.keys() | self._elsewhere.keys():
            if number in self._elsewhere or number in self._devices:
                self._left.discard(number)
                if _shown(before.get(number)) != _shown(self._elsewhere.get(number)):
                    self._note(number)
            else:
                self._has_left(number)

    def close(self) -> None:
        """Cancels every timer; nothing is announced any more."""
        self._is_closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for device in self._devices.values():
            if device.leaving is not None:
                device.leaving.cancel()
        self._devices.clear()

    def _note(self, device_no: int) -> None:
        self._changed.add(device_no)
        self._arm()

    def _arm(self) -> None:
        if self._timer is None and not self._is_closed:
            self._timer = asyncio.get_running_loop().call_later(self._diff_delay_s, self._flush)

    def _gone(self, device_no: int) -> None:
        device = self._devices.get(device_no)
        if device is not None and not device.tabs:
            del self._devices[device_no]
            if device_no in self._elsewhere:
                self._note(device_no)
            else:
                self._has_left(device_no)

    def _has_left(self, device_no: int) -> None:
        self._changed.discard(device_no)
        self._left.add(device_no)
        self._arm()

    def _flush(self) -> None:
        self._timer = None
        devices = [self._describe(number) for number in sorted(self._changed)]
        left = sorted(self._left)
        self._changed.clear()
        self._left.clear()
        if devices or left:
            self._announce(devices, left)

    def _describe(self, device_no: int) -> dict[str, Any]:
        """A device that is here, elsewhere, or both: tabs summed, visible anywhere, as far as the best of them."""
        head, here, there = self._head(), self._devices.get(device_no), self._elsewhere.get(device_no)
        tabs = list(here.tabs.values()) if here is not None else []
        seen = [place.last_seen_at for place in (here, there) if place is not None]
        behind = [place.behind(head) for place in (here, there) if place is not None]
        return {
            "device_no": device_no,
            "label": here.label if here is not None else there.label if there is not None else UNKNOWN_LABEL,
            "tabs": sum(tab.count for tab in tabs) + (there.tabs if there is not None else 0),
            "visible": any(tab.visible for tab in tabs) or (there is not None and there.visible),
            "behind": min(behind, default=0),
            "last_seen_at": iso(max(seen)),
            "is_primary": device_no == self._primary_no,
        }


def _shown(device: DevicePresence | None) -> tuple[object, ...]:
    """What of a device on another node is worth an announcement: not that it was seen, nor how far one has come that is given everything."""
    if device is None:
        return ()
    return device.label, device.tabs, device.visible, device.is_following or device.version


def device_label(given: str | None, user_agent: str) -> str:
    """What a person called the device, else what its browser says of itself."""
    return given or label_of(user_agent)
