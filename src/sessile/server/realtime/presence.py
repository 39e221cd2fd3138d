"""Which devices have a document open, within this process. A device is somebody's browser; its tabs are its sockets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any, Final

from ua_parser import parse as parse_user_agent

from sessile.model.limits import LABEL_LENGTH_MAX
from sessile.model.wire import iso

DIFF_DELAY_S: Final = 0.25
UNKNOWN_LABEL: Final = "Unknown device"


@lru_cache(maxsize=512)
def label_of(user_agent: str) -> str:
    """A device's name for people, e.g. `Firefox on Ubuntu`. From what the browser says of itself: informative only."""
    result = parse_user_agent(user_agent[:512])
    browser = result.user_agent.family if result.user_agent is not None else ""
    system = result.os.family if result.os is not None else ""
    if not browser and not system:
        return UNKNOWN_LABEL
    return f"{browser or 'Browser'} on {system}"[:LABEL_LENGTH_MAX] if system else browser[:LABEL_LENGTH_MAX]


@dataclass(slots=True)
class Tab:
    """One socket of a device. `cursor` tells how far it has been brought up to date."""

    visible: bool
    cursor: Callable[[], int]


@dataclass(slots=True)
class PresentDevice:
    device_no: int
    label: str
    last_seen_at: datetime
    tabs: dict[object, Tab] = field(default_factory=dict)
    leaving: asyncio.TimerHandle | None = None


class Board:
    """The devices of one document. `announce(devices, left)` is called with what changed, at most every `DIFF_DELAY_S`."""

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
        self._devices: dict[int, PresentDevice] = {}
        self._changed: set[int] = set()
        self._left: set[int] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._primary_no: int | None = None

    def state(self) -> list[dict[str, Any]]:
        """Every device, for somebody who has just come."""
        return [self._describe(device) for device in self._devices.values()]

    def join(self, tab: object, device_no: int, *, label: str, visible: bool, cursor: Callable[[], int]) -> None:
        device = self._devices.get(device_no)
        if device is None:
            device = self._devices[device_no] = PresentDevice(device_no, label, self._now())
        if device.leaving is not None:
            device.leaving.cancel()
            device.leaving = None
        device.label, device.last_seen_at = label, self._now()
        device.tabs[tab] = Tab(visible, cursor)
        self._left.discard(device_no)
        self._note(device_no)

    def leave(self, tab: object, device_no: int) -> None:
        """A tab's socket is closed. The device itself leaves when it has had none for `leave_after_s`."""
        device = self._devices.get(device_no)
        if device is None or device.tabs.pop(tab, None) is None:
            return
        device.last_seen_at = self._now()
        self._note(device_no)
        if not device.tabs:
            loop = asyncio.get_running_loop()
            device.leaving = loop.call_later(self._leave_after_s, self._gone, device_no)

    def show(self, tab: object, device_no: int, *, visible: bool) -> None:
        device = self._devices.get(device_no)
        if device is not None and tab in device.tabs and device.tabs[tab].visible != visible:
            device.tabs[tab].visible = visible
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
            if number is not None and number in self._devices:
                self._note(number)

    def close(self) -> None:
        """Cancels every timer."""
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
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._diff_delay_s, self._flush)

    def _gone(self, device_no: int) -> None:
        device = self._devices.get(device_no)
        if device is not None and not device.tabs:
            del self._devices[device_no]
            self._changed.discard(device_no)
            self._left.add(device_no)
            self._arm()

    def _flush(self) -> None:
        self._timer = None
        devices = [self._describe(self._devices[number]) for number in sorted(self._changed) if number in self._devices]
        left = sorted(self._left)
        self._changed.clear()
        self._left.clear()
        if devices or left:
            self._announce(devices, left)

    def _describe(self, device: PresentDevice) -> dict[str, Any]:
        head = self._head()
        return {
            "device_no": device.device_no,
            "label": device.label,
            "tabs": len(device.tabs),
            "visible": any(tab.visible for tab in device.tabs.values()),
            "behind": min((max(0, head - tab.cursor()) for tab in device.tabs.values()), default=0),
            "last_seen_at": iso(device.last_seen_at),
            "is_primary": device.device_no == self._primary_no,
        }


def device_label(given: str | None, user_agent: str) -> str:
    """What a person called the device, else what its browser says of itself."""
    return given or label_of(user_agent)
