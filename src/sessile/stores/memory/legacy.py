"""Rows of legacy credentials in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sessile.model.legacy import ImportRun, LegacyToken
from sessile.stores.memory.table import Table


class MemoryLegacyRows:
    def __init__(self, tokens: Table[bytes, LegacyToken]) -> None:
        self._tokens = tokens
        self.tables: tuple[Table[Any, Any], ...] = (tokens,)

    def get(self, legacy_hash: bytes) -> LegacyToken | None:
        return self._tokens.get(legacy_hash)

    def get_many(self, hashes: Sequence[bytes]) -> dict[bytes, LegacyToken]:
        found = ((one, self._tokens.get(one)) for one in hashes)
        return {one: token for one, token in found if token is not None}

    def add(self, tokens: Sequence[LegacyToken]) -> set[bytes]:
        added = set[bytes]()
        for token in tokens:
            if self._tokens.get(token.hash) is None:
                self._tokens.put(token.hash, token)
                added.add(token.hash)
        return added

    def use(self, legacy_hash: bytes, at: datetime) -> None:
        token = self._tokens.get(legacy_hash)
        if token is not None and token.used_at is None:
            self._tokens.put(legacy_hash, replace(token, used_at=at))

    def of_run(self, run_id: str, *, after: bytes, limit: int) -> list[LegacyToken]:
        found = (token for token in self._tokens.rows() if token.run_id == run_id and token.hash > after)
        return sorted(found, key=lambda token: token.hash)[:limit]

    def delete(self, hashes: Sequence[bytes]) -> None:
        for one in hashes:
            self._tokens.delete(one)

    def runs(self) -> list[ImportRun]:
        by_run: dict[str, list[LegacyToken]] = {}
        for token in self._tokens.rows():
            if token.run_id is not None:
                by_run.setdefault(token.run_id, []).append(token)
        return [
            ImportRun(
                run_id=run_id,
                source=tokens[0].source,
                sessions=len(tokens),
                used=sum(token.used_at is not None for token in tokens),
                expires_at=max(token.expires_at for token in tokens),
            )
            for run_id, tokens in sorted(by_run.items(), reverse=True)
        ]

    def delete_old(self, before: datetime, limit: int) -> int:
        over = sorted((t for t in self._tokens.rows() if t.kept_until < before), key=lambda token: token.hash)[:limit]
        self.delete([token.hash for token in over])
        return len(over)
