"""News between processes as text: who tells it, and events without what only the process that committed is told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from sessile.model.events import KNOWN_KINDS, Event, EventKind

_Entry = tuple[str, str, int, str, str]
_Payload = tuple[str, list[_Entry]]
_BYTES_MAX: Final = 7_900
"""PostgreSQL takes less than 8000 bytes (NOTIFY, "payload")."""


def payloads(origin: str, events: Sequence[Event]) -> list[str]:
    """As few notifications as hold the events of a commit."""
    found: list[str] = []
    batch: list[_Entry] = []
    for one in events:
        entry = (str(one.kind), one.key, one.version, one.detail, one.epoch)
        if batch and len(_payload(origin, [*batch, entry])) > _BYTES_MAX:
            found.append(_payload(origin, batch))
            batch = []
        batch.append(entry)
    return [*found, _payload(origin, batch)] if batch else found


def _payload(origin: str, entries: Sequence[_Entry]) -> str:
    return msgspec.json.encode((origin, entries)).decode()


def read(payload: str | bytes) -> tuple[str, list[Event]]:
    """Who told it, and the events of kinds that are known here. Raises ValueError for what is none."""
    origin, events = msgspec.json.decode(payload, type=_Payload)
    return origin, [
        Event(EventKind(kind), key, version, detail, epoch)
        for kind, key, version, detail, epoch in events
        if kind in KNOWN_KINDS
    ]
