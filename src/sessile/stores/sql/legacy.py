"""Rows of legacy credentials."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import Row, delete, func, select, update
from sqlalchemy.engine import Connection

from sessile.model.legacy import ImportRun, LegacyKind, LegacyToken
from sessile.stores.sql.dialects import INSERTS
from sessile.stores.sql.tables import legacy_tokens


class SqlLegacyRows:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self, legacy_hash: bytes) -> LegacyToken | None:
        statement = select(legacy_tokens).where(legacy_tokens.c.hash == legacy_hash)
        row = self._connection.execute(statement).one_or_none()
        return None if row is None else _token(row)

    def get_many(self, hashes: Sequence[bytes]) -> dict[bytes, LegacyToken]:
        if not hashes:
            return {}
        rows = self._connection.execute(select(legacy_tokens).where(legacy_tokens.c.hash.in_(hashes)))
        return {token.hash: token for token in map(_token, rows)}

    def add(self, tokens: Sequence[LegacyToken]) -> set[bytes]:
        if not tokens:
            return set()
        # In one order, so that two imports of the same sessions cannot wait for each other.
        values = [_values(token) for token in sorted(tokens, key=lambda token: token.hash)]
        return {row.hash for row in self._connection.execute(_add(self._connection.dialect.name), values)}

    def use(self, legacy_hash: bytes, at: datetime) -> None:
        is_first = (legacy_tokens.c.hash == legacy_hash) & legacy_tokens.c.used_at.is_(None)
        self._connection.execute(update(legacy_tokens).where(is_first).values(used_at=at))

    def of_run(self, run_id: str, *, after: bytes, limit: int) -> list[LegacyToken]:
        is_behind = (legacy_tokens.c.run_id == run_id) & (legacy_tokens.c.hash > after)
        statement = select(legacy_tokens).where(is_behind).order_by(legacy_tokens.c.hash).limit(limit)
        return [_token(row) for row in self._connection.execute(statement)]

    def delete(self, hashes: Sequence[bytes]) -> None:
        if hashes:
            self._connection.execute(delete(legacy_tokens).where(legacy_tokens.c.hash.in_(hashes)))

    def runs(self) -> list[ImportRun]:
        statement = (
            select(
                legacy_tokens.c.run_id,
                func.min(legacy_tokens.c.source).label("source"),
                func.count().label("sessions"),
                func.count(legacy_tokens.c.used_at).label("used"),
                func.max(legacy_tokens.c.expires_at).label("expires_at"),
            )
            .where(legacy_tokens.c.run_id.is_not(None))
            .group_by(legacy_tokens.c.run_id)
            .order_by(legacy_tokens.c.run_id.desc())
        )
        rows = [row._asdict() for row in self._connection.execute(statement)]
        return [ImportRun(**{**values, "source": LegacyKind(values["source"])}) for values in rows]

    def delete_old(self, before: datetime, limit: int) -> int:
        over = select(legacy_tokens.c.hash).where(legacy_tokens.c.kept_until < before).order_by(legacy_tokens.c.hash)
        statement = delete(legacy_tokens).where(legacy_tokens.c.hash.in_(over.limit(limit)))
        return int(self._connection.execute(statement).rowcount)


@lru_cache(maxsize=4)
def _add(dialect: str) -> Any:
    """Made once: an import runs it for each session."""
    return INSERTS[dialect](legacy_tokens).on_conflict_do_nothing().returning(legacy_tokens.c.hash)


def _values(token: LegacyToken) -> dict[str, Any]:
    values = {column.name: getattr(token, column.name) for column in legacy_tokens.columns}
    return {**values, "source": str(token.source)}


def _token(row: Row[Any]) -> LegacyToken:
    values = row._asdict()
    return LegacyToken(**{**values, "source": LegacyKind(values["source"])})
