"""A document without a store: changes of several devices, each with what it has seen, go through the judge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from itertools import count
from typing import Any

from sessile.model.change_format import parse_operations
from sessile.model.document import Change, Document, DocumentDevice, LoggedChange, Owner
from sessile.model.merge import Head, Policies, judge

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Table:
    """One document's head, its log, and its state at each version."""

    def __init__(self, state: Mapping[str, Any], policies: Policies | None = None) -> None:
        document = Document(
            document_id="d", owner=Owner("ada"), name="form", state=state, epoch="e",
            created_at=NOW, updated_at=NOW, last_activity_at=NOW,
        )  # fmt: skip
        self.head = Head(document, size_bytes=1000, policies=policies or Policies())
        self.log: list[LoggedChange] = []
        self.states: list[Mapping[str, Any]] = [state]
        self._ids = count(1)

    @property
    def state(self) -> Mapping[str, Any]:
        return self.head.document.state

    @property
    def version(self) -> int:
        return self.head.document.version

    def take(
        self, device: int, base_version: int, operations: Sequence[Mapping[str, Any]], generation: int = 0
    ) -> LoggedChange:
        """The judge's line for a change of that device."""
        change = Change(
            operations=parse_operations([dict(operation) for operation in operations]),
            base_version=base_version,
            generation=generation,
            device_id=f"device {device}",
        )
        known = DocumentDevice(document_id="d", device_id=f"device {device}", device_no=device, last_active_at=NOW)
        logged = judge(
            self.head, change, device=known, session_id=None, now=NOW, new_id=lambda: f"conflict {next(self._ids)}"
        )
        self.log.append(logged)
        self.states.append(self.state)
        return logged


def pruned(value: Any) -> Any:
    """Without empty objects: a `set` makes missing parents, and undoing it leaves them empty."""
    if not isinstance(value, Mapping):
        return value
    children = {key: pruned(child) for key, child in value.items()}
    return {key: child for key, child in children.items() if child != {}}
