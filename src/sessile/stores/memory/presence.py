"""Presence rows in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sessile.model.presence import PresenceKey, PresenceLease
from sessile.stores.memory.table import Table


class MemoryPresenceRows:
    def __init__(self, leases: Table[PresenceKey, PresenceLease]) -> None:
        self._leases = leases
        self.tables: tuple[Table[Any, Any], ...] = (leases,)

    def put(self, leases: Sequence[PresenceLease]) -> None:
        for lease in leases:
            self._leases.put(lease.key, lease)

    def renew(self, node_id: str, until: datetime) -> int:
        renewed = [replace(lease, lease_until=until) for lease in self._leases.rows() if lease.node_id == node_id]
        self.put(renewed)
        return len(renewed)

    def advance(self, leases: Sequence[PresenceLease]) -> None:
        for lease in leases:
            known = self._leases.get(lease.key)
            if known is not None:
                self._leases.put(lease.key, replace(known, version=lease.version, seen_at=lease.seen_at))

    def get_many(self, keys: Sequence[PresenceKey], *, lock: bool = False) -> list[PresenceLease]:
        found = (self._leases.get(key) for key in sorted(set(keys)))
        return [lease for lease in found if lease is not None]

    def remove(self, keys: Sequence[PresenceKey]) -> None:
        for key in keys:
            self._leases.delete(key)

    def of_document(self, document_id: str, now: datetime | None = None) -> list[PresenceLease]:
        found = [lease for lease in self._leases.rows() if lease.document_id == document_id]
        return _standing(found, now)

    def of_device(self, document_id: str, device_id: str) -> list[PresenceLease]:
        return [lease for lease in self.of_document(document_id) if lease.device_id == device_id]

    def of_sessions(self, session_ids: Sequence[str], now: datetime | None = None) -> list[PresenceLease]:
        wanted = set(session_ids)
        found = [lease for lease in self._leases.rows() if lease.session_id in wanted and not lease.document_id]
        return _standing(found, now)

    def standing(self, now: datetime) -> list[PresenceLease]:
        """All that have not lapsed, in the order of their keys."""
        return _standing(list(self._leases.rows()), now)

    def lapsed(self, now: datetime, limit: int) -> list[PresenceLease]:
        over = [lease for lease in self._leases.rows() if lease.lease_until <= now]
        return sorted(over, key=lambda lease: (lease.lease_until, lease.key))[:limit]


def _standing(leases: Sequence[PresenceLease], now: datetime | None) -> list[PresenceLease]:
    return sorted((e for e in leases if now is None or e.lease_until > now), key=lambda lease: lease.key)
