"""What this process knows of the fence: its last look at it, how old that is, and since when it knows each epoch.

A process may believe the cache only with an *open* look that is younger than the fence period F. The age counts from before the look was sent,
on a clock of this process alone; no two clocks are ever compared. Whoever knows that an epoch is closed knows after F that nobody believes an
earlier one any more. The protocol is in docs/explanation/cache.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sessile.model.fence import Fence
from sessile.ports import Random, Stopwatch, Store, Transaction

MARGIN_S: Final = 0.02
CLOCK_RATE: Final = 1.01
"""Clocks of two machines may run this differently."""
_REMEMBERED: Final = 16
_NONCE_BYTES: Final = 6


@dataclass(frozen=True, slots=True)
class Look:
    """The fence as it was at some moment after `sent_at` (seconds of this process's stopwatch)."""

    fence: Fence
    sent_at: float


class Looks:
    """Raises StoreUnavailable from everything that asks the store."""

    def __init__(self, store: Store, stopwatch: Stopwatch, random: Random, period_s: float) -> None:
        self._store = store
        self._stopwatch = stopwatch
        self._random = random
        self.period_s = period_s
        self.last: Look | None = None
        """The latest look, however old."""
        self._seen: dict[tuple[int, str], float] = {}

    def is_older(self, seconds: float) -> bool:
        """Whether the latest look is, or there was none."""
        return self.last is None or self._stopwatch.seconds() - self.last.sent_at > seconds

    def usable(self) -> Look | None:
        """A look with which the cache may be believed now; None: read the truth."""
        look = self.last
        return look if look is not None and self.is_usable(look) else None

    def is_usable(self, look: Look) -> bool:
        """Whether it shows an open fence and still is young enough."""
        return look.fence.is_open and self._stopwatch.seconds() - look.sent_at < self.period_s

    def now(self) -> float:
        """The stopwatch, for `note`: read before the question is sent."""
        return self._stopwatch.seconds()

    def note(self, fence: Fence, sent_at: float) -> Look:
        """Remembers a look. What it shows must be committed by now."""
        now = self._stopwatch.seconds()
        # That an epoch is closed, or over, may be believed for longer than it was asked for: that only costs reads of the truth.
        look = Look(fence, sent_at if fence.is_open else now)
        self._seen.setdefault((fence.number, fence.nonce), now)
        while len(self._seen) > _REMEMBERED:
            self._seen.pop(next(iter(self._seen)), None)
        # By the time of the question and not by the number: a database that was restored from a copy counts on from an earlier one.
        if self.last is None or look.sent_at >= self.last.sent_at:
            self.last = look
        return look

    def left_s(self, fence: Fence) -> float:
        """How long until nobody can believe an epoch before this one any more; 0 when that is so already."""
        until = self._seen[fence.number, fence.nonce] + self.period_s * CLOCK_RATE + MARGIN_S
        return max(0.0, until - self._stopwatch.seconds())

    async def look(self) -> Look:
        """A fresh one, from the store."""
        sent_at = self._stopwatch.seconds()
        return self.note(await self._store.read(_look), sent_at)

    async def raise_(self, number: int, *, server: str | None = None, held_s: float = 0.0) -> Look:
        """Begins the next epoch, unless another one than `number` is the present one; a look at what is."""
        sent_at = self._stopwatch.seconds()
        return self.note(await self._store.write(_raise, self.nonce(), number, server, held_s), sent_at)

    async def open(self, number: int) -> Look:
        """Opens that epoch, unless it is over or held. The caller has waited `left_s`."""
        sent_at = self._stopwatch.seconds()
        return self.note(await self._store.write(_open, number), sent_at)

    async def hold(self, number: int, held_s: float) -> Look:
        """Keeps it closed."""
        sent_at = self._stopwatch.seconds()
        return self.note(await self._store.write(_hold, number, held_s), sent_at)

    def nonce(self) -> str:
        """Part of an epoch's name: a database that was restored from a copy must not come upon the same name again."""
        return self._random.token_bytes(_NONCE_BYTES).hex()


def _look(tx: Transaction) -> Fence:
    return tx.fence.look()


def _raise(tx: Transaction, nonce: str, number: int, server: str | None, held_s: float) -> Fence:
    return tx.fence.raise_(nonce, server=server, expected=number, held_s=held_s)


def _open(tx: Transaction, number: int) -> Fence:
    return tx.fence.open(number)


def _hold(tx: Transaction, number: int, held_s: float) -> Fence:
    return tx.fence.hold(number, held_s)
