"""The row of the fence in memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from sessile.model.fence import Fence
from sessile.stores.memory.table import Table


class MemoryFenceRows:
    """Next to the row: until when it is held."""

    def __init__(self, rows: Table[None, tuple[Fence, float]], seconds: Callable[[], float]) -> None:
        self._rows = rows
        self._seconds = seconds

    def look(self) -> Fence:
        kept = self._rows.get(None)
        assert kept is not None, "it is there from the beginning"
        fence, held_until = kept
        return replace(fence, held_for_s=max(0.0, held_until - self._seconds()))

    def raise_(
        self, nonce: str, *, server: str | None = None, expected: int | None = None, held_s: float = 0.0
    ) -> Fence:
        now = self.look()
        if expected is None or expected == now.number:
            following = Fence(now.number + 1, nonce, server or now.server, is_open=False)
            self._rows.put(None, (following, self._seconds() + held_s))
        return self.look()

    def open(self, number: int) -> Fence:
        now = self.look()
        if now.number == number and now.held_for_s <= 0:
            self._rows.put(None, (replace(now, is_open=True), 0.0))
        return self.look()

    def hold(self, number: int, held_s: float) -> Fence:
        now = self.look()
        if now.number == number and not now.is_open:
            self._rows.put(None, (now, self._seconds() + held_s))
        return self.look()
