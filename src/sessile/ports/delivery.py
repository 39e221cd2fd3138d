"""The seam between the core and how far the audit log was delivered to its sinks."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Protocol


class DeliveryRows(Protocol):
    """For each sink and stream the position of the last event that the sink has. Removed with the stream's chain (`Transaction.close_audit`)."""

    def pending(self, sink: str, since: datetime | None, limit: int) -> dict[str, int]:
        """Streams with events that the sink has not, and the position that it has (0: nothing), at most `limit`. With `since` only streams with such an
        event of that time or later, the one that waits longest first; with None all, by name: that reads a row for each chain."""
        ...

    def put(self, sink: str, positions: Mapping[str, int]) -> None:
        """Inserts, or replaces those of the same sink and stream."""
        ...
