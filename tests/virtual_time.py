"""An event loop whose clock moves only when everybody waits: `asyncio.sleep(3600)` takes no time, and a slow machine changes nothing.

For tests that stay within one loop. What waits for another thread or process would be overtaken by the clock.
"""

from __future__ import annotations

import asyncio
import selectors
from typing import Any


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """Its `time()` is the sum of what was slept. Raises RuntimeError where a real loop would wait for ever."""

    def __init__(self) -> None:
        self._slept_s = 0.0
        super().__init__(_Leaping(self._leap))

    def time(self) -> float:
        return self._slept_s

    def _leap(self, duration_s: float | None) -> None:
        if duration_s is None:
            raise RuntimeError("everybody waits, and nothing is due: this test would hang")
        self._slept_s += duration_s


class _Leaping(selectors.DefaultSelector):
    def __init__(self, leap: Any) -> None:
        super().__init__()
        self._leap = leap

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and timeout != 0:
            self._leap(timeout)
        return ready
