"""Documents under judgement: loaded for one batch, and remembered for the next.

What is remembered is believed only inside a transaction that holds the document, and only where the row says the same version, epoch and
moment of change. So another process that went on meanwhile is noticed, and so is a database that came back from before.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec
from msgspec import structs

from sessile.engine.kinds import touched_at
from sessile.engine.ownership import roll
from sessile.model.batch import Progress, Surroundings
from sessile.model.document import ABSENT, Conflict, Document, DocumentDevice, LoggedChange, State
from sessile.model.errors import SchemaUnknown
from sessile.model.kind import KindRules, Kinds
from sessile.model.limits import (
    JUDGED_CHANGES_MAX,
    STATE_BYTES_MAX,
    STATE_INLINE_BYTES_MAX,
    STATE_LAG_BYTES_MAX,
    STATE_LAG_CHANGES_MAX,
)
from sessile.model.merge import Head, Policies, Touch
from sessile.model.pointer import parse
from sessile.model.record import Record
from sessile.ports import Transaction

PoliciesOf = Callable[[str], Policies]
"""From a document's name to its policies."""
KNOWN_MAX: Final = 4096
KNOWN_BYTES_MAX: Final = 32 * 1024 * 1024
TOUCHES_KEPT: Final = 64


@dataclass(slots=True)
class Work:
    """One document within a batch."""

    head: Head
    row: Document
    devices: dict[str, DocumentDevice]
    touches_from: int
    """The head knows all that was touched after this version."""
    lag_bytes: int
    rules: KindRules | None = None
    unknown: SchemaUnknown | None = None
    """Why nothing can be judged here: this process does not know the document's kind."""
    logged: list[LoggedChange] = field(default_factory=list)
    by_seq: dict[tuple[str, int], LoggedChange] = field(default_factory=dict)
    conflicts: dict[str, Conflict] = field(default_factory=dict)
    moved: set[str] = field(default_factory=set)

    @property
    def is_inline(self) -> bool:
        """Whether the state is written with what was logged."""
        return (
            self.head.size_bytes <= STATE_INLINE_BYTES_MAX
            or self.head.document.version - self.row.state_version >= STATE_LAG_CHANGES_MAX
            or self.lag_bytes >= STATE_LAG_BYTES_MAX
        )

    def progress(self) -> Progress:
        """What has to be written."""
        document, inline = self.head.document, self.is_inline
        return Progress(
            structs.replace(document, state_version=document.version if inline else self.row.state_version),
            inline,
            self.logged,
            [self.devices[device_id] for device_id in sorted(self.moved)],
            list(self.conflicts.values()),
        )


class Known(Record, frozen=True):
    """A document as a batch left it."""

    document: Document
    size_bytes: int
    touches: Sequence[Touch]
    touches_from: int
    devices: Mapping[str, DocumentDevice]
    """Without what presence writes into their rows."""
    conflicts: Mapping[str, Conflict]
    lag_bytes: int

    def fits(self, row: Document, base_version: int, versions_kept: int) -> bool:
        """Whether the row is this document, and enough of its past is known for changes on that base. Nobody knows more than the log keeps in any
        case: what becomes of a change must not depend on which process it comes to."""
        document = self.document
        return (
            document.version == row.version
            and document.updated_at == row.updated_at
            and document.epoch == row.epoch
            and base_version >= max(self.touches_from, row.version - versions_kept)
        )


class Heads:
    """One of a process. Filled after commits; a transaction that is rolled back leaves nothing in it."""

    def __init__(self, kinds: Kinds, policies_of: PoliciesOf, versions_kept: int) -> None:
        self._versions_kept = versions_kept
        self._kinds = kinds
        self._policies_of = policies_of
        self._known: OrderedDict[str, Known] = OrderedDict()
        self._bytes = 0

    def knows(self, document_ids: Sequence[str]) -> bool:
        """Whether all of them are remembered, so that the rows are needed without their states."""
        return all(document_id in self._known for document_id in document_ids)

    def load(
        self, tx: Transaction, rows: Mapping[str, Document], bases: Mapping[str, int], *, with_state: bool
    ) -> dict[str, Work]:
        """The documents of these locked rows, each with the oldest base of the changes to come. `with_state`: the rows have their states."""
        works: dict[str, Work] = {}
        unknown: list[str] = []
        for document_id, row in rows.items():
            known = self._known.get(document_id)
            if known is not None and known.fits(row, bases[document_id], self._versions_kept):
                works[document_id] = self._recalled(known, row)
            else:
                unknown.append(document_id)
        if unknown:
            full = rows if with_state else tx.documents.get_many(unknown)
            around = tx.documents.surroundings({key: read_after(full[key], bases[key]) for key in unknown})
            works |= {key: self.load_one(full[key], bases[key], around[key]) for key in unknown}
        return works

    def keep(self, works: Sequence[Work]) -> None:
        """After the commit."""
        for work in works:
            document_id = work.row.document_id
            self.forget([document_id])
            known = _remembered(work)
            self._known[document_id] = known
            self._bytes += known.size_bytes
        while len(self._known) > KNOWN_MAX or self._bytes > KNOWN_BYTES_MAX:
            self.forget([next(iter(self._known))])

    def forget(self, document_ids: Sequence[str]) -> None:
        """Nobody knows what was committed, or something else was."""
        for document_id in document_ids:
            known = self._known.pop(document_id, None)
            if known is not None:
                self._bytes -= known.size_bytes

    def load_one(self, row: Document, base_version: int, around: Surroundings) -> Work:
        """The document rolled forward, with what other changes touched since the oldest base in the batch, as far as is looked back."""
        log = around.log
        behind = [change for change in log if change.version > row.state_version]
        document = roll(row, behind)
        touches = _touches(log, base_version, row.version)
        return self._work(
            row,
            document.state,
            size_bytes=len(msgspec.json.encode(document.state)),
            touches=touches,
            touches_from=log[0].version - 1 if log else row.version,
            devices={device.device_id: device for device in around.devices},
            conflicts={conflict.path: conflict for conflict in around.conflicts},
            lag_bytes=sum(len(msgspec.json.encode(change.operations)) for change in behind),
        )

    def _recalled(self, known: Known, row: Document) -> Work:
        return self._work(
            row,
            known.document.state,
            size_bytes=known.size_bytes,
            touches=list(known.touches),
            touches_from=known.touches_from,
            devices=dict(known.devices),
            conflicts=dict(known.conflicts),
            lag_bytes=known.lag_bytes,
        )

    def _work(
        self,
        row: Document,
        state: State,
        *,
        size_bytes: int,
        touches: list[Touch],
        touches_from: int,
        devices: dict[str, DocumentDevice],
        conflicts: dict[str, Conflict],
        lag_bytes: int,
    ) -> Work:
        rules, unknown = self._rules_of(row)
        policies = rules.policies if rules is not None else None
        head = Head(
            document=structs.replace(row, state=state, state_version=row.version),
            size_bytes=size_bytes,
            touches=touches,
            conflicts=conflicts,
            policies=policies if policies is not None else self._policies_of(row.name),
            check=rules.check if rules is not None else None,
            state_bytes_max=rules.state_bytes_max if rules is not None else STATE_BYTES_MAX,
        )
        return Work(head, row, devices, touches_from, lag_bytes, rules, unknown)

    def _rules_of(self, row: Document) -> tuple[KindRules | None, SchemaUnknown | None]:
        try:
            return self._kinds.of_schema(row.schema_name, row.schema_version), None
        except SchemaUnknown as error:
            return None, error


def _remembered(work: Work) -> Known:
    head = work.head
    touches, touches_from = head.touches, work.touches_from
    if len(touches) > 2 * TOUCHES_KEPT:
        touches_from = touches[-TOUCHES_KEPT - 1].version
    if touches and touches[0].version <= touches_from:
        touches = [touch for touch in touches if touch.version > touches_from]
    return Known(
        head.document,
        head.size_bytes,
        touches,
        touches_from,
        work.devices,
        head.conflicts,
        0 if work.is_inline else work.lag_bytes,
    )


def read_after(row: Document, base_version: int) -> int | None:
    """From where the log is needed: to roll the state forward, and to see what others did since the base. None: nothing of it."""
    since = min(max(base_version, row.version - JUDGED_CHANGES_MAX), row.state_version)
    return since if since < row.version else None


def _touches(log: Sequence[LoggedChange], base_version: int, version: int) -> list[Touch]:
    """What the lines wrote to. Whoever looked last before the first of them: everything may have been changed by somebody else."""
    known_from = log[0].version - 1 if log else version  # later than asked for where the log was shortened
    touches = [Touch(known_from, None, 0, (), ABSENT)] if base_version < known_from else []
    for change in log:
        at = touched_at(change)
        touches += [Touch(at, change.device_id, change.device_no, parse(path), value) for path, value in change.before]
    return touches
