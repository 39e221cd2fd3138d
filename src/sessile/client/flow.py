"""Which changes of an outbox go out next: in seq order, in frames the server accepts, a bounded number unanswered. No I/O."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from sessile.client.effects import Pending
from sessile.model.limits import CHANGES_PER_FRAME_MAX

FRAME_BYTES_AIM: Final = 80 * 1024
"""Client frames have at most 96 KiB; the rest is room for what surrounds the changes."""
IN_FLIGHT_MAX: Final = 200


class Flow:
    """One document on one connection. `sent` is the seq up to which the outbox has been sent."""

    def __init__(self) -> None:
        self.is_open = False
        self.sent = 0
        self.in_flight: tuple[int, ...] = ()
        self.term = 0
        """Moved on by everything that makes a read of the outbox stale."""

    def open(self) -> None:
        """A connection has opened the document: everything in the outbox goes out once more; repetitions get their old verdict."""
        self.close()
        self.is_open = True

    def close(self) -> None:
        self.is_open = False
        self.rewind(0)

    def acknowledged(self, through: int) -> None:
        self.in_flight = tuple(seq for seq in self.in_flight if seq > through)

    def rewind(self, after: int) -> None:
        self.sent = after
        self.in_flight = ()
        self.term += 1

    @property
    def room(self) -> int:
        """How many changes may be read from the outbox for the next frame."""
        return min(CHANGES_PER_FRAME_MAX, max(0, IN_FLIGHT_MAX - len(self.in_flight))) if self.is_open else 0

    def next_frame(self, entries: Sequence[Pending], generation: int | None) -> list[dict[str, Any]]:
        """The changes of the next frame, out of what follows `sent`; they count as sent now. `generation` is for changes that were made
        before the document had been seen; while it is None these wait, and what follows them too."""
        changes: list[dict[str, Any]] = []
        size = 0
        for entry in entries:
            of_entry = entry.generation if entry.generation is not None else generation
            if of_entry is None:
                break
            change = {
                "seq": entry.seq,
                "base_version": entry.base_version,
                "generation": of_entry,
                "operations": entry.operations,
            }
            size += len(msgspec.json.encode(change))
            if changes and size > FRAME_BYTES_AIM:
                break
            changes.append(change)
        seqs = tuple(change["seq"] for change in changes)
        self.in_flight += seqs
        self.sent = seqs[-1] if seqs else self.sent
        return changes
