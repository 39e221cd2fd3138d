"""The server's durable half in the model: the real engine on real tables in memory, copied at every step."""

from __future__ import annotations

import copy
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, TypeVar

from sessile.engine.changes import ChangeEngine
from sessile.engine.checkpoints import CheckpointEngine
from sessile.engine.documents import DocumentEngine
from sessile.model.document import (
    Actor,
    Change,
    CheckpointKind,
    Delta,
    LoggedChange,
    Opened,
    Outcome,
    Submission,
    Verdict,
)
from sessile.model.merge import Policies
from sessile.model.operations import apply
from sessile.stores.memory import MemoryStore
from sessile.stores.memory.store import Tables

T = TypeVar("T")
NOW = datetime(2026, 1, 1, tzinfo=UTC)
NAME = "d"


class Clock:
    def now(self) -> datetime:
        return NOW


class Counting:
    """Random bytes that are the same in every run."""

    def __init__(self, count: int = 0) -> None:
        self.count = count

    def token_bytes(self, count: int) -> bytes:
        self.count += 1
        return self.count.to_bytes(count, "big")


def run(work: Coroutine[Any, Any, T]) -> T:
    """The engine never suspends on a store that does not wait."""
    try:
        work.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    raise AssertionError("the engine waited")


class Backend:
    """`engine_type` and `store_type` are for planted errors."""

    def __init__(
        self,
        engine_type: Callable[..., ChangeEngine] = ChangeEngine,
        store_type: Callable[[Tables], MemoryStore] = MemoryStore,
    ) -> None:
        self._engine_type = engine_type
        self._store_type = store_type
        self._use(Tables(), Counting())
        self.document_id = run(self.documents.open(actor(None), NAME, {})).document.document_id
        beginning = self.checkpoints.create(actor(None), self.document_id, "", CheckpointKind.MANUAL, None, None)
        self._beginning = run(beginning).checkpoint_id

    def _use(self, tables: Tables, random: Counting) -> None:
        self.tables, self.random = tables, random
        store, clock = self._store_type(tables), Clock()
        self.changes = self._engine_type(store, clock, random, lambda _name: Policies())
        self.documents = DocumentEngine(store, clock, random)
        self.checkpoints = CheckpointEngine(store, clock, random)

    def clone(self) -> Backend:
        other = copy.copy(self)
        tables = Tables()
        for name, rows in vars(self.tables).items():
            if isinstance(rows, dict):
                setattr(tables, name, dict(rows))  # rows are immutable
        other._use(tables, Counting(self.random.count))
        return other

    def with_new_epoch(self) -> Backend:
        """What an operator has to do after going back to an old copy of the database."""
        other = self.clone()
        document = other.tables.documents[self.document_id]
        other.tables.documents[self.document_id] = replace(document, epoch=document.epoch + "'")
        return other

    @property
    def log(self) -> Sequence[LoggedChange]:
        return self.tables.logs.get(self.document_id) or ()

    @property
    def head(self) -> tuple[str, int]:
        return self.tables.documents[self.document_id].position

    def open(self, device_id: str) -> Opened:
        return run(self.documents.open(actor(device_id), NAME, {}))

    def since(self, position: tuple[str, int] | None) -> Delta:
        epoch, version = position if position is not None else (None, None)
        return run(self.documents.since(Actor.system(), self.document_id, epoch, version))

    def submit(self, batch: Sequence[Submission]) -> list[Outcome]:
        return run(self.changes.submit(batch))

    def restore_beginning(self) -> None:
        """Goes back to the checkpoint that was taken of the empty document."""
        run(self.checkpoints.restore(actor(None), self.document_id, self._beginning, None, None, dry_run=False))

    def open_conflict_ids(self) -> set[str]:
        found = self.tables.conflicts.values()
        return {conflict.conflict_id for conflict in found if conflict.status == "open"}

    def states_after(
        self, logged: Sequence[LoggedChange], known: Mapping[tuple[str, int], Any]
    ) -> dict[tuple[str, int], Any]:
        """The state after each line of the log, computed from the one before it."""
        epoch = self.head[0]
        states: dict[tuple[str, int], Any] = {}
        for change in logged:
            before = epoch, change.version - 1
            state = states[before] if before in states else known[before]
            is_applied = change.verdict is Verdict.APPLIED
            states[epoch, change.version] = apply(state, change.operations).state if is_applied else state
        return states

    def submission(self, device_id: str, changes: Sequence[Change]) -> Submission:
        return Submission(self.document_id, changes, actor(device_id))


def actor(device_id: str | None) -> Actor:
    return Actor(user_id="ann", device_id=device_id)
