"""Past states: rebuilt from where the log begins or from a checkpoint, compared, and forgotten by rule."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sessile.engine.kinds import schema_version_after
from sessile.engine.ownership import find, rolled_forward
from sessile.model.difference import differences
from sessile.model.document import Actor, Difference, Document, LogBase, LoggedChange, Verdict
from sessile.model.errors import CheckpointNotFound, InvalidChange, VersionNotKept
from sessile.model.limits import REBUILT_AT_ONCE
from sessile.model.operations import apply
from sessile.ports import Clock, Store, Transaction

Point = int | str
"""A version, the id of a checkpoint, or `now`."""
NOW = "now"


@dataclass(slots=True)  # not frozen: `sessile.runtime.rules` puts what has changed into it
class CompactionRule:
    """What of a log is kept in any case: the newest `versions_kept` lines, and every line younger than `retention`."""

    versions_kept: int
    retention: timedelta
    batch: int
    """Lines forgotten in one transaction, at most."""


class HistoryEngine:
    """Compare past states, and shorten logs. Raises DocumentNotFound, CheckpointNotFound, VersionNotKept."""

    def __init__(self, store: Store, clock: Clock, rule: CompactionRule) -> None:
        self._store = store
        self._clock = clock
        self._rule = rule

    async def diff(self, actor: Actor, document_id: str, a: Point, b: Point) -> list[Difference]:
        """Where the states at two points differ: `current` is the value at `a`, `restored` the one at `b`. Raises InvalidChange for a version
        that is not there yet."""
        return await self._store.read(_diff, actor, document_id, a, b)

    async def compact(self, documents: int) -> int:
        """Forgets old lines of at most that many documents, each in a transaction of its own; how many lines."""
        before = self._clock.now() - self._rule.retention
        document_ids = await self._store.read(_long, self._rule.versions_kept, before, documents)
        forgotten = 0
        for document_id in document_ids:
            forgotten += await self._store.write(self._compact, document_id, before)
        return forgotten

    def _compact(self, tx: Transaction, document_id: str, before: datetime) -> int:
        document = tx.documents.get_many([document_id], lock=True).get(document_id)
        base = tx.documents.log_base(document_id)
        if document is None or base is None:
            return 0
        last = min(document.version - self._rule.versions_kept, document.state_version)
        for conflict in tx.documents.open_conflicts(document_id):
            last = min(last, conflict.version - 1)
        lines: list[LoggedChange] = []
        for line in tx.documents.changes(document_id, after=base.version, limit=self._rule.batch):
            if line.version > last or line.created_at >= before:
                break
            lines.append(line)
        if not lines:
            return 0
        base = moved(base, lines)
        tx.documents.put_log_base(base)
        tx.documents.delete_changes(document_id, base.version)
        return len(lines)


def point_at(tx: Transaction, document: Document, point: Point) -> LogBase:
    """The state at a point of the document, as it was written then. Raises CheckpointNotFound, VersionNotKept, InvalidChange."""
    if point == NOW:
        return at_head(rolled_forward(tx, document))
    if isinstance(point, int):
        return state_at(tx, document, point)
    checkpoint = tx.documents.checkpoint(document.document_id, point)
    if checkpoint is None:
        raise CheckpointNotFound
    return LogBase(
        document_id=document.document_id,
        version=checkpoint.version,
        generation=checkpoint.generation,
        schema_version=checkpoint.schema_version,
        state=checkpoint.state,
    )


def state_at(tx: Transaction, document: Document, version: int) -> LogBase:
    """The state at a version: from the nearest place at or before it that is kept, and the log behind that."""
    if not 0 <= version <= document.version:
        raise InvalidChange("/version", f"the document is at version {document.version}")
    if version == document.version:
        return at_head(rolled_forward(tx, document))
    start = tx.documents.log_base(document.document_id)
    nearest = max(
        (c for c in tx.documents.checkpoints(document.document_id) if c.version <= version),
        key=lambda checkpoint: checkpoint.version,
        default=None,
    )
    reaches = start is not None and start.version <= version
    if nearest is not None and (nearest.version == version or (reaches and start and nearest.version > start.version)):
        start = point_at(tx, document, nearest.checkpoint_id)
    elif not reaches or start is None:
        raise VersionNotKept(start.version if start is not None else document.version)
    while start.version < version:
        page = min(REBUILT_AT_ONCE, version - start.version)
        lines = tx.documents.changes(document.document_id, after=start.version, limit=page)
        if [line.version for line in lines] != list(range(start.version + 1, start.version + page + 1)):
            raise VersionNotKept(lines[0].version - 1 if lines else document.version)
        start = moved(start, lines)
    return start


def at_head(document: Document) -> LogBase:
    """A document that is rolled forward, as a point."""
    return LogBase(
        document_id=document.document_id,
        version=document.version,
        generation=document.generation,
        schema_version=document.schema_version,
        state=document.state,
    )


def moved(base: LogBase, lines: Iterable[LoggedChange]) -> LogBase:
    """The point behind these lines, which follow it. Raises OperationFault for lines that do not."""
    for line in lines:
        state = apply(base.state, line.operations).state if line.verdict is Verdict.APPLIED else base.state
        base = replace(
            base,
            version=line.version,
            generation=line.generation,
            schema_version=schema_version_after(line, base.schema_version),
            state=state,
        )
    return base


def _diff(tx: Transaction, actor: Actor, document_id: str, a: Point, b: Point) -> list[Difference]:
    document = find(tx, actor, document_id)
    return list(differences(point_at(tx, document, a).state, point_at(tx, document, b).state))


def _long(tx: Transaction, versions_kept: int, before: datetime, limit: int) -> Sequence[str]:
    return tx.documents.needing_compaction(versions_kept, before, limit)
