"""Everything that happened to a document, in one list: changes, checkpoints and audit events, newest first."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sessile.model.audit import AuditEvent
from sessile.model.document import Checkpoint, LoggedChange

_CURSOR: Final = re.compile(r"(\d{1,16})\.(\d{1,16})\.([0-9a-f-]{36}|~)", re.ASCII)
APP_EVENT: Final = re.compile(r"app\.[a-z0-9_.-]{1,60}", re.ASCII)
"""Types of an application's own events."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where a page ends: what is older in each of the three sources."""

    version: int
    position: int
    checkpoint_id: str
    """`~` sorts behind every id: none was told yet."""

    def __str__(self) -> str:
        return f"{self.version}.{self.position}.{self.checkpoint_id}"

    @staticmethod
    def parse(text: str) -> Cursor:
        """Raises ValueError for what `str` did not make."""
        match = _CURSOR.fullmatch(text)
        if match is None:
            raise ValueError("not a place in a list of activity")
        return Cursor(int(match[1]), int(match[2]), match[3])


@dataclass(frozen=True, slots=True)
class Activity:
    """One thing that happened. Exactly one of `change`, `checkpoint` and `event` is set; `type` is `change`, `checkpoint` or the event's."""

    type: str
    at: datetime
    change: LoggedChange | None = None
    checkpoint: Checkpoint | None = None
    event: AuditEvent | None = None


@dataclass(frozen=True, slots=True)
class ActivityPage:
    """`before` leads to the next page; None on the last one."""

    entries: Sequence[Activity]
    before: str | None
