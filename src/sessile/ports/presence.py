"""The seam between the core and the leases of those who are connected."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from sessile.model.presence import PresenceKey, PresenceLease


class PresenceRows(Protocol):
    def put(self, leases: Sequence[PresenceLease]) -> None:
        """Inserts, or replaces those of the same key."""
        ...

    def renew(self, node_id: str, until: datetime) -> int:
        """Moves the end of all leases of a node, in one statement; how many there are."""
        ...

    def advance(self, leases: Sequence[PresenceLease]) -> None:
        """Writes how far they have come, and when they were seen, into those that are still there."""
        ...

    def get_many(self, keys: Sequence[PresenceKey], *, lock: bool = False) -> list[PresenceLease]:
        """Those that are there, in the order of their keys; locked in that order. The caller holds the locks of their sessions and documents."""
        ...

    def remove(self, keys: Sequence[PresenceKey]) -> None: ...

    def of_document(self, document_id: str, now: datetime | None = None) -> list[PresenceLease]:
        """In the order of their keys: with `now` those that have not lapsed, without it all that stand."""
        ...

    def of_device(self, document_id: str, device_id: str) -> list[PresenceLease]:
        """All that stand of one device in one document, in the order of their keys."""
        ...

    def of_sessions(self, session_ids: Sequence[str], now: datetime | None = None) -> list[PresenceLease]:
        """Leases of the sessions themselves (without a document), in the same way."""
        ...

    def lapsed(self, now: datetime, limit: int) -> list[PresenceLease]:
        """Those whose time is over, the longest over first, at most `limit`. Not locked: sessions and documents are locked before them."""
        ...
