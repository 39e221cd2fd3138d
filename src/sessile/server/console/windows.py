"""What a feed has told of a list of sessions, and what is new since: only the fields that changed travel."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from sessile.model.audit import AuditEvent, AuditPlace
from sessile.runtime.groups import AsyncAudit
from sessile.server.console import wire
from sessile.server.console.monitor import Changed
from sessile.server.realtime.hub import Hub

WHOLE_LOOK_S: Final = 5.0
"""How often the whole list is asked for, changed or not: activity and new sessions are told by no commit."""
_SHARE: Final = 50.0
"""And never so often that it takes more than this part of the time: a list of ten thousand is looked at seldom."""
_PIECEMEAL_MAX: Final = 500
"""Up to so many changed sessions are asked for by themselves."""
_AUDIT_MAX: Final = 100
_LOOKED_AT_MAX: Final = 1000
_OVERLAP: Final = timedelta(seconds=2)


class SessionsWindow:
    """The first `limit` sessions of a query, as one client has them."""

    def __init__(
        self, oversight: Any, hub: Hub, changed: Changed, *, query: str, limit: int, newest_first: bool
    ) -> None:
        self._oversight = oversight
        self._hub = hub
        self._changed = changed
        self._query = query
        self._limit = limit
        self._newest_first = newest_first
        self._rows: dict[str, dict[str, Any]] = {}
        self._total = -1
        self._whole_look_at = float("-inf")

    def forget(self) -> None:
        """The client has nothing any more: it is told everything again."""
        self._total = -1
        self._whole_look_at = float("-inf")

    async def news(self) -> tuple[str, dict[str, Any]] | None:
        """The event and its data; None when there is nothing to tell. Raises StoreUnavailable, InvalidValue."""
        ids, is_all = self._changed.take()
        loop = asyncio.get_running_loop()
        if self._total < 0 or is_all or loop.time() >= self._whole_look_at:
            return await self._whole(loop)
        mine = [key for key in ids if key in self._rows]
        if not mine:
            return None
        if len(mine) > _PIECEMEAL_MAX:
            return await self._whole(loop)
        return await self._piecemeal(mine)

    async def _whole(self, loop: asyncio.AbstractEventLoop) -> tuple[str, dict[str, Any]] | None:
        began = loop.time()
        found = await self._oversight.find(self._query, limit=self._limit, newest_first=self._newest_first)
        rows = {seen.session.session_id: wire.row(seen, self._hub) for seen in found.sessions}
        before, self._rows = self._rows, rows
        was_told, total_before, self._total = self._total >= 0, self._total, found.total
        self._whole_look_at = loop.time() + max(WHOLE_LOOK_S, _SHARE * (loop.time() - began))
        if not was_told:
            return "sessions_reset", {"sessions": list(rows.values()), "total": found.total}
        added = [row for key, row in rows.items() if key not in before]
        removed = [key for key in before if key not in rows]
        changed = _changes(before, rows)
        if not (added or removed or changed) and found.total == total_before:
            return None
        told: dict[str, Any] = {"changed": changed, "added": added, "removed": removed, "total": found.total}
        if added:
            told["order"] = list(rows)
        return "sessions", told

    async def _piecemeal(self, keys: Sequence[str]) -> tuple[str, dict[str, Any]] | None:
        seen = await self._oversight.see(keys)
        rows = {one.session.session_id: wire.row(one, self._hub) for one in seen}
        changed = _changes(self._rows, rows)
        for row in changed:
            if "state" in row or "ended_at" in row:
                # It may not be meant by the query any more: the next look finds out.
                self._whole_look_at = float("-inf")
        self._rows |= rows
        return ("sessions", {"changed": changed, "added": [], "removed": [], "total": self._total}) if changed else None


def _changes(before: dict[str, dict[str, Any]], after: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    found = []
    for key, row in after.items():
        known = before.get(key)
        if known is not None and known != row:
            found.append({"session_id": key, **{name: value for name, value in row.items() if known[name] != value}})
    return found


class AuditTail:
    """The end of the audit log as one client has it: what is behind the events that it was told of, or beside them.

    Events have their places by their times, and a transaction that takes longer writes an earlier one later. So each look goes back a little, and what was told
    before is left out.
    """

    def __init__(self, audit: AsyncAudit) -> None:
        self._audit = audit
        self._since: datetime | None = None
        self._told: dict[tuple[str, int], datetime] = {}
        self._is_begun = False

    async def news(self) -> tuple[Sequence[AuditEvent], int]:
        """Events, oldest first, and how many more there were. The first time none: what came before is had elsewhere. Raises StoreUnavailable."""
        after = None if self._since is None else str(AuditPlace(self._since - _OVERLAP, " ", 0))
        page = await self._audit.tail(after=after, limit=_LOOKED_AT_MAX)
        new = [event for event in page.events if (event.stream, event.position) not in self._told]
        if page.events:
            self._since = page.events[-1].at
            known = {(event.stream, event.position): event.at for event in page.events}
            self._told = {key: at for key, at in {**self._told, **known}.items() if at >= self._since - 2 * _OVERLAP}
        if not self._is_begun:
            self._is_begun = True
            return (), 0
        if len(page.events) == _LOOKED_AT_MAX:  # there may be more behind: the next look begins at the end
            last = await self._audit.tail(limit=1)
            self._since = last.events[-1].at if last.events else self._since
        return new[-_AUDIT_MAX:], max(0, len(new) - _AUDIT_MAX)
