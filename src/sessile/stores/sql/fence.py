"""The row of the fence."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import select, update
from sqlalchemy.engine import Connection

from sessile.model.fence import Fence
from sessile.stores.sql.tables import cache_fence

_LOOK: Final = select(cache_fence)


class SqlFenceRows:
    """`at` is only what a hold is measured by: it delays the opening, and nothing that must hold depends on it."""

    def __init__(self, connection: Connection, at: datetime) -> None:
        self._connection = connection
        self._at = at

    def look(self) -> Fence:
        row = self._connection.execute(_LOOK).one()
        held_for_s = 0.0 if row.held_until is None else (row.held_until - self._at).total_seconds()
        return Fence(row.number, row.nonce, row.server, row.is_open, max(0.0, held_for_s))

    def raise_(
        self, nonce: str, *, server: str | None = None, expected: int | None = None, held_s: float = 0.0
    ) -> Fence:
        values: dict[str, Any] = {
            "number": cache_fence.c.number + 1,
            "nonce": nonce,
            "is_open": False,
            "raised_at": self._at,
            "held_until": self._at + timedelta(seconds=held_s),
        }
        if server is not None:
            values["server"] = server
        statement = update(cache_fence).values(values)
        if expected is not None:
            statement = statement.where(cache_fence.c.number == expected)
        self._connection.execute(statement)
        return self.look()

    def open(self, number: int) -> Fence:
        is_held = cache_fence.c.held_until > self._at
        statement = update(cache_fence).where(
            cache_fence.c.number == number, ~is_held | cache_fence.c.held_until.is_(None)
        )
        self._connection.execute(statement.values(is_open=True))
        return self.look()

    def hold(self, number: int, held_s: float) -> Fence:
        statement = update(cache_fence).where(cache_fence.c.number == number, ~cache_fence.c.is_open)
        self._connection.execute(statement.values(held_until=self._at + timedelta(seconds=held_s)))
        return self.look()
