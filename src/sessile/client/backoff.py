"""Reconnection delays (protocol/README.md, rule 7): a first try within 250 ms, then full jitter from 0.5 s, doubling, at most 20 s."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """All in seconds. `reset_after_s`: a connection that lived this long was a good one, and the next loss starts from the beginning."""

    first_max_s: float = 0.25
    base_s: float = 0.5
    cap_s: float = 20.0
    reset_after_s: float = 10.0

    def delay_s(self, attempt: int, random: Callable[[], float]) -> float:
        """How long to wait before try number `attempt` (0 is the first after a loss). `random` gives values in [0, 1)."""
        ceiling = self.first_max_s if attempt == 0 else min(self.cap_s, self.base_s * 2 ** min(attempt - 1, 30))
        return random() * ceiling
