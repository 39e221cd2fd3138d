"""A document as its own log tells it: every state it ever had, who sent what, and what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sessile.engine.ownership import rolled_forward
from sessile.model.canonical import canonical, state_hash
from sessile.model.document import (
    Change,
    Checkpoint,
    Conflict,
    Document,
    DocumentDevice,
    LogBase,
    LoggedChange,
    Owner,
    State,
    Verdict,
)
from sessile.model.operations import apply
from sessile.ports import Transaction


@dataclass
class Sent:
    """A change that got a verdict."""

    change: Change
    line: LoggedChange


@dataclass
class Known:
    """`states` are those that could be rebuilt, by version: of an import, from where its log begins."""

    document_id: str
    owner: Owner
    name: str
    states: dict[int, State]
    version: int
    generation: int = 0
    is_archived: bool = False
    seqs: dict[str, int] = field(default_factory=dict)
    sent: list[tuple[str, Sent]] = field(default_factory=list)
    by_key: dict[str, LoggedChange] = field(default_factory=dict)
    checkpoints: dict[str, int] = field(default_factory=dict)
    """Id to version."""
    lines: list[LoggedChange] = field(default_factory=list)
    base: int = 0
    """The log is kept from behind this version on."""

    @property
    def state(self) -> State:
        return self.states[self.version]

    def follow(self, rows: Rows) -> None:
        """Takes in what the log has more. Raises AssertionError for whatever it cannot follow, or is not as it must be."""
        for line in rows.log:
            if line.version > self.version:
                self._take(line)
        document = rows.document
        assert (document.version, document.generation) == (self.version, self.generation)
        assert canonical(document.state) == canonical(self.state), "the state is not what the log gives"
        assert (document.owner, document.name) == (self.owner, self.name)
        assert (document.status == "archived") is self.is_archived
        assert [line.version for line in rows.log] == list(range(rows.base.version + 1, self.version + 1))
        kept = [line for line in self.lines if line.version > rows.base.version]
        assert rows.log == kept, "a line of the log is another one than it was"
        assert rows.base.version >= self.base, "what is forgotten does not come back"
        self.base = rows.base.version
        assert canonical(rows.base.state) == canonical(self.states[self.base])
        self._check_rest(rows)

    def _take(self, line: LoggedChange) -> None:
        assert line.version == self.version + 1, "the versions have a gap"
        state = self.state
        if line.verdict is Verdict.APPLIED:
            state = apply(state, line.operations).state
        assert line.generation - self.generation in (0, 1)
        assert line.state_hash in (None, state_hash(state))
        self.version, self.generation = line.version, line.generation
        self.states[line.version] = state
        self.lines.append(line)

    def _check_rest(self, rows: Rows) -> None:
        paths = [conflict.path for conflict in rows.conflicts]
        assert len(paths) == len(set(paths)), "two open conflicts of one path"
        assert {d.device_id: d.last_seq for d in rows.devices if d.device_id in self.seqs} == self.seqs
        assert len({device.device_no for device in rows.devices}) == len(rows.devices)
        assert sum(device.is_primary for device in rows.devices) <= 1
        for checkpoint in rows.checkpoints:
            version = self.checkpoints.setdefault(checkpoint.checkpoint_id, checkpoint.version)
            assert checkpoint.version == version
            if version in self.states:
                assert canonical(checkpoint.state) == canonical(self.states[version]), "a checkpoint has another state"


@dataclass(frozen=True)
class Rows:
    """What a store has of one document."""

    document: Document
    base: LogBase
    log: Sequence[LoggedChange]
    conflicts: Sequence[Conflict]
    devices: Sequence[DocumentDevice]
    checkpoints: Sequence[Checkpoint]

    @staticmethod
    def read(tx: Transaction, document_id: str) -> Rows:
        stored, base = tx.documents.get(document_id), tx.documents.log_base(document_id)
        assert stored is not None
        assert base is not None
        listed: list[Any] = [
            tx.documents.checkpoint(document_id, c.checkpoint_id) for c in tx.documents.checkpoints(document_id)
        ]
        return Rows(
            rolled_forward(tx, stored),
            base,
            tx.documents.changes(document_id, after=0),
            tx.documents.open_conflicts(document_id),
            tx.documents.devices(document_id),
            listed,
        )
