"""Checkpoint rows."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, delete, insert, select
from sqlalchemy.engine import Connection

from sessile.model.document import PASSING_CHECKPOINTS, Checkpoint, CheckpointKind
from sessile.stores.sql.tables import checkpoints

_WITHOUT_STATE = [column for column in checkpoints.columns if column.name != "state"]


class SqlCheckpointRows:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def insert_checkpoint(self, checkpoint: Checkpoint) -> None:
        values = {column.name: getattr(checkpoint, column.name) for column in checkpoints.columns}
        self._connection.execute(insert(checkpoints), {**values, "kind": str(checkpoint.kind)})

    def checkpoint(self, document_id: str, checkpoint_id: str) -> Checkpoint | None:
        statement = select(checkpoints).where(
            checkpoints.c.document_id == document_id, checkpoints.c.checkpoint_id == checkpoint_id
        )
        return _maybe(self._connection.execute(statement).one_or_none())

    def checkpoint_by_request(self, document_id: str, request_id: str) -> Checkpoint | None:
        statement = select(checkpoints).where(
            checkpoints.c.document_id == document_id, checkpoints.c.request_id == request_id
        )
        return _maybe(self._connection.execute(statement).one_or_none())

    def checkpoints(self, document_id: str) -> list[Checkpoint]:
        statement = (
            select(*_WITHOUT_STATE)
            .where(checkpoints.c.document_id == document_id)
            .order_by(checkpoints.c.created_at.desc(), checkpoints.c.checkpoint_id.desc())
        )
        return [checkpoint_of(row) for row in self._connection.execute(statement)]

    def delete_checkpoints(self, checkpoint_ids: Sequence[str]) -> None:
        if checkpoint_ids:
            self._connection.execute(delete(checkpoints).where(checkpoints.c.checkpoint_id.in_(checkpoint_ids)))

    def delete_old_checkpoints(self, before: datetime, limit: int) -> int:
        passing = [str(kind) for kind in PASSING_CHECKPOINTS]
        old = (
            select(checkpoints.c.checkpoint_id)
            .where(checkpoints.c.kind.in_(passing), checkpoints.c.created_at < before)
            .order_by(checkpoints.c.created_at, checkpoints.c.checkpoint_id)
            .limit(limit)
        )
        return int(self._connection.execute(delete(checkpoints).where(checkpoints.c.checkpoint_id.in_(old))).rowcount)


def _maybe(row: Row[Any] | None) -> Checkpoint | None:
    return None if row is None else checkpoint_of(row)


def checkpoint_of(row: Row[Any]) -> Checkpoint:
    values = row._asdict()
    return Checkpoint(**{**values, "kind": CheckpointKind(values["kind"])})
