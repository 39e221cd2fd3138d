"""Which leaders of browsers this process has seen: one that has been replaced is known for a while after its successor's socket has gone."""

from __future__ import annotations

from collections import OrderedDict
from datetime import datetime, timedelta
from typing import Final

REMEMBERED_FOR: Final = timedelta(seconds=60)
"""Longer than a page's script hangs, and than a client takes to come back; short enough that a browser whose storage was put back to an older copy gets in again."""
REMEMBERED_MAX: Final = 10_000


class Terms:
    """The highest term of each browser, as (session, device). In memory: another process has seen others, and there the numbers of the changes hold."""

    def __init__(self) -> None:
        self._seen: OrderedDict[tuple[str, str], tuple[int, datetime]] = OrderedDict()

    def is_past(self, session_id: str, device_id: str, term: int, now: datetime) -> bool:
        """True when a higher term was seen within the last minute."""
        known = self._seen.get((session_id, device_id))
        return known is not None and known[0] > term and now - known[1] < REMEMBERED_FOR

    def note(self, session_id: str, device_id: str, term: int, now: datetime) -> None:
        """A leader has come, or its socket has gone: remembered from now on, unless a higher term is."""
        if self.is_past(session_id, device_id, term, now):
            return
        key = (session_id, device_id)
        self._seen[key] = (term, now)
        self._seen.move_to_end(key)
        if len(self._seen) > REMEMBERED_MAX:
            self._seen.popitem(last=False)
