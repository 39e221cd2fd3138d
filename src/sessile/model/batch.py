"""What a batch of changes reads beside the documents it changes, and what it leaves in the rows of each."""

from __future__ import annotations

from collections.abc import Sequence

from sessile.model.document import Conflict, Document, DocumentDevice, LoggedChange
from sessile.model.record import Record


class Surroundings(Record, frozen=True):
    """Of one document: the part of its log that was asked for, oldest first; its devices, by their number; its open conflicts, oldest first."""

    log: Sequence[LoggedChange] = ()
    devices: Sequence[DocumentDevice] = ()
    conflicts: Sequence[Conflict] = ()


class Progress(Record, frozen=True):
    """Of one document: what it is now, and the rows that brought it there. The devices were registered before."""

    document: Document
    with_state: bool
    """Whether its state is written, too, or stays in the log for now."""
    logged: Sequence[LoggedChange]
    devices: Sequence[DocumentDevice]
    conflicts: Sequence[Conflict]
