"""What was measured lately, kept in memory: five minutes, an hour and a day, each with steps of its own, so that a chart has a past when it opens.

At most 528 points of fifteen numbers: some 150 kB, however long the process runs.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any, Final

SERIES: Final = (
    "live", "online", "degraded", "offline", "connects_s", "disconnects_s", "changes_s", "heartbeat_p50_ms", "heartbeat_p95_ms", "loop_lag_ms",
    "pool_in_use", "pool_size", "store_latency_ms", "cache_hits_s",
)  # fmt: skip
WINDOWS: Final[Mapping[str, tuple[int, int]]] = {"5m": (5, 60), "1h": (20, 180), "24h": (300, 288)}
"""Seconds of a step, and how many are kept."""
Point = Mapping[str, float | None]


class Ring:
    """One window. What is measured within a step is averaged; a step in which nothing was is a gap."""

    def __init__(self, step_s: int, kept: int) -> None:
        self.step_s = step_s
        self._kept = kept
        self._points: deque[tuple[int, tuple[float | None, ...]]] = deque(maxlen=kept)
        self._open_at = 0
        self._open: list[Point] = []

    def add(self, at_s: float, point: Point) -> None:
        step_at = int(at_s) // self.step_s * self.step_s
        if step_at != self._open_at:
            self._fold()
            self._open_at = step_at
        self._open.append(point)

    def _fold(self) -> None:
        if self._open:
            self._points.append((self._open_at, tuple(_mean(self._open, name) for name in SERIES)))
            self._open = []

    def series(self, now_s: float) -> dict[str, Any]:
        """Every step of the window up to now, with nulls where nothing was measured; the step of now only when it was measured, for it is not over."""
        known = dict(self._points)
        if self._open:
            known[self._open_at] = tuple(_mean(self._open, name) for name in SERIES)
        last = int(now_s) // self.step_s * self.step_s
        if last not in known:
            last -= self.step_s
        steps = [last - self.step_s * back for back in range(self._kept - 1, -1, -1)]
        gap = (None,) * len(SERIES)
        rows = [known.get(step, gap) for step in steps]
        columns = {name: [values[index] for values in rows] for index, name in enumerate(SERIES)}
        return {"step_s": self.step_s, "at_s": steps, "series": columns}


class History:
    """All windows."""

    def __init__(self) -> None:
        self._rings = {name: Ring(step_s, kept) for name, (step_s, kept) in WINDOWS.items()}

    def add(self, at_s: float, point: Point) -> None:
        for ring in self._rings.values():
            ring.add(at_s, point)

    def window(self, name: str, now_s: float) -> dict[str, Any]:
        return {"window": name, **self._rings[name].series(now_s)}


def _mean(points: list[Point], name: str) -> float | None:
    values = [value for point in points if (value := point.get(name)) is not None]
    return round(sum(values) / len(values), 3) if values else None
