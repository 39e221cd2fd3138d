"""How far the audit log was delivered, in memory."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sessile.model.audit import AuditEvent, AuditStream
from sessile.stores.memory.table import Table


class MemoryDeliveryRows:
    def __init__(
        self,
        delivered: Table[tuple[str, str], int],
        streams: Table[str, tuple[AuditEvent, ...]],
        chains: Table[str, AuditStream],
    ) -> None:
        self._delivered = delivered
        self._streams = streams
        self._chains = chains
        self.tables: tuple[Table[Any, Any], ...] = (delivered,)

    def pending(self, sink: str, since: datetime | None, limit: int) -> dict[str, int]:
        waiting: list[tuple[Any, str, int]] = []
        for chain in self._chains.rows():
            delivered = self._delivered.get((chain.stream, sink)) or 0
            if since is None:
                if chain.position > max(delivered, chain.base_position):
                    waiting.append((0, chain.stream, delivered))
                continue
            late = [e.at for e in self._streams.get(chain.stream) or () if e.position > delivered and e.at >= since]
            if late:
                waiting.append((min(late), chain.stream, delivered))
        return {stream: delivered for _, stream, delivered in sorted(waiting)[:limit]}

    def put(self, sink: str, positions: Mapping[str, int]) -> None:
        for stream, position in positions.items():
            self._delivered.put((stream, sink), position)

    def forget(self, stream: str) -> None:
        """With the stream's chain."""
        for key in [key for key, _ in self._delivered.items() if key[0] == stream]:
            self._delivered.delete(key)
