"""What a commit tells others. An event is a hint: versions are the truth, and whoever finds a gap reads what is missing."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Final

from sessile.model.document import Checkpoint, LoggedChange, Restored
from sessile.model.record import Record

REFRESH = "refresh"
"""Detail of SESSION_CHANGED: what the user may do has changed, so the session is to get a new token (ASVS 7.2.4)."""
RELOAD = "reload"
"""Detail of SESSION_CHANGED: somebody asked that its sockets send their documents whole once more."""


class EventKind(StrEnum):
    DOCUMENT_CHANGED = "document_changed"
    CHECKPOINT_SAVED = "checkpoint_saved"
    DOCUMENT_RESTORED = "document_restored"
    SESSION_CHANGED = "session_changed"
    SESSION_ENDED = "session_ended"
    HANDOFF_CHANGED = "handoff_changed"
    PRESENCE_CHANGED = "presence_changed"
    ANOMALY = "anomaly"
    """Something looks like an attack: `detail` is a value of `sessile.model.anomaly.Anomaly`, `key` the session it is about, or empty."""
    MAINTENANCE_CHANGED = "maintenance_changed"
    """Maintenance was announced, has begun or has ended: whoever tells people of it looks."""
    NEWS_MISSED = "news_missed"
    """Some news may have been lost: whoever shows something looks again."""


KNOWN_KINDS: Final = frozenset(str(kind) for kind in EventKind)
"""While a new release is rolled out, news of other kinds can come from its processes; it is left alone."""


class Event(Record, frozen=True):
    """`key` is a document id or a session id. The last three fields are only there in the process that committed."""

    _unshown = ("changes", "checkpoint", "restored")

    kind: EventKind
    key: str
    version: int = 0
    detail: str = ""
    """An end reason, the id of a checkpoint or a hand-off, the node whose devices came or went, the anomaly, REFRESH or RELOAD."""
    epoch: str = ""
    changes: Sequence[LoggedChange] = ()
    checkpoint: Checkpoint | None = None
    restored: Restored | None = None
