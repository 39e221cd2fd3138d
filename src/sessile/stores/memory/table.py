"""One table as a transaction sees it: rows below, an overlay above."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Table(Generic[K, V]):
    """One table as a transaction sees it. None in the overlay means deleted."""

    def __init__(self, rows: dict[K, V]) -> None:
        self._rows = rows
        self._overlay: dict[K, V | None] = {}

    def get(self, key: K) -> V | None:
        return self._overlay[key] if key in self._overlay else self._rows.get(key)

    def put(self, key: K, row: V) -> None:
        self._overlay[key] = row

    def delete(self, key: K) -> None:
        self._overlay[key] = None

    def items(self) -> Iterator[tuple[K, V]]:
        for key, row in self._rows.items():
            if key not in self._overlay:
                yield key, row
        for key, changed in self._overlay.items():
            if changed is not None:
                yield key, changed

    def rows(self) -> Iterator[V]:
        return (row for _, row in self.items())

    def commit(self) -> None:
        for key, row in self._overlay.items():
            if row is None:
                self._rows.pop(key, None)
            else:
                self._rows[key] = row
