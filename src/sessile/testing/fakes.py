"""Time and randomness that a test decides."""

from __future__ import annotations

import random
import threading
from datetime import UTC, datetime, timedelta


class FakeClock:
    """A clock that stands still until it is moved. Safe to share between threads."""

    def __init__(self, start: datetime = datetime(2026, 1, 1, 12, tzinfo=UTC)) -> None:
        self._now = start
        self._lock = threading.Lock()

    def now(self) -> datetime:
        """The time, aware, UTC."""
        with self._lock:
            return self._now

    def advance(self, seconds: float) -> None:
        """Moves on by that many seconds (backwards when negative, as a corrected system clock does)."""
        with self._lock:
            self._now += timedelta(seconds=seconds)

    def set(self, moment: datetime) -> None:
        """Jumps to an aware time. Raises ValueError for a naive one."""
        if moment.tzinfo is None:
            raise ValueError("a clock shows aware times")
        with self._lock:
            self._now = moment.astimezone(UTC)


class SeededRandom:
    """The same bytes in every run. Never for anything but tests: whoever knows the seed knows every token."""

    def __init__(self, seed: int = 0) -> None:
        self._random = random.Random(seed)  # noqa: S311 - repeatable on purpose
        self._lock = threading.Lock()

    def token_bytes(self, count: int) -> bytes:
        """`count` bytes."""
        with self._lock:
            return self._random.randbytes(count)
