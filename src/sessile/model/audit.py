"""Audit events and their hash chain: one chain per stream, so that a missing, changed or reordered row shows.

Personal fields (who, and what the event says) are hashed apart, with a salt of their own: they can be erased and the chain still verifies.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sessile.model.canonical import canonical

SALT_BYTES: Final = 16
_UNIX: Final = datetime(1970, 1, 1, tzinfo=UTC)
_PLACE: Final = re.compile(r"(\d{1,16})\.(\d{1,16})\.(.{1,300})", re.ASCII | re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEvent:
    """Something that happened, written in the same transaction. `stream` is `session:<id>`, `document:<id>`, `user:<id>` or `system`."""

    stream: str
    type: str
    at: datetime
    user_id: str | None = None
    session_id: str | None = None
    document_id: str | None = None
    data: Mapping[str, Any] = field(default_factory=dict)
    position: int = 0
    salt: bytes | None = field(default=None, repr=False)
    """None: the personal fields were erased."""
    personal_hash: bytes = b""
    previous_hash: bytes = b""
    hash: bytes = b""


@dataclass(frozen=True, slots=True, order=True)
class AuditPlace:
    """Where an event stands among those of all streams. Its text goes through a URL, a file or a command line."""

    at: datetime
    stream: str
    position: int

    def __str__(self) -> str:
        return f"{micros(self.at)}.{self.position}.{self.stream}"

    @staticmethod
    def parse(text: str) -> AuditPlace:
        """Raises ValueError for what `str` did not make."""
        match = _PLACE.fullmatch(text)
        if match is None:
            raise ValueError("not a place in the audit log")
        return AuditPlace(_UNIX + timedelta(microseconds=int(match[1])), match[3], int(match[2]))

    @staticmethod
    def of(event: AuditEvent) -> AuditPlace:
        return AuditPlace(event.at, event.stream, event.position)


@dataclass(frozen=True, slots=True)
class AuditPage:
    """Events of all streams, oldest first. `after` leads on from the last of them; None where there was none at all."""

    events: Sequence[AuditEvent]
    after: str | None


@dataclass(frozen=True, slots=True)
class AuditStream:
    """One chain: where it ends, and where what is kept of it begins (after `base_position`, whose event had `base_hash`)."""

    stream: str
    position: int
    hash: bytes
    base_position: int = 0
    base_hash: bytes = b""


@dataclass(frozen=True, slots=True)
class AuditFault:
    """One place at which a chain is not what was written. Position 0 is the chain as a whole."""

    stream: str
    position: int
    problem: str


def micros(at: datetime) -> int:
    """Microseconds since 1970."""
    return (at - _UNIX) // timedelta(microseconds=1)


def personal_hash(event: AuditEvent, salt: bytes) -> bytes:
    """SHA-256 over the salt and the personal fields."""
    return hashlib.sha256(salt + canonical({"user_id": event.user_id, "data": dict(event.data)})).digest()


def chained_hash(event: AuditEvent, position: int, previous_hash: bytes, personal: bytes) -> bytes:
    """SHA-256 over the previous hash and the event's canonical form. The stream's name goes in as a hash: it can name a user, too."""
    content = canonical(
        {
            "stream": hashlib.sha256(event.stream.encode()).hexdigest(),
            "position": position,
            "type": event.type,
            "at": micros(event.at),
            "session_id": event.session_id,
            "document_id": event.document_id,
            "personal": personal.hex(),
        }
    )
    return hashlib.sha256(previous_hash + content).digest()


def chained(event: AuditEvent, position: int, previous_hash: bytes, salt: bytes) -> AuditEvent:
    """The event as it stands in its stream."""
    personal = personal_hash(event, salt)
    return replace(
        event,
        position=position,
        salt=salt,
        personal_hash=personal,
        previous_hash=previous_hash,
        hash=chained_hash(event, position, previous_hash, personal),
    )


def fault_of(event: AuditEvent, position: int, previous_hash: bytes) -> str | None:
    """What is wrong with the event that should stand at this position behind that hash; None when nothing is."""
    if event.position != position:
        return f"position {position} is missing"
    if event.salt is not None and personal_hash(event, event.salt) != event.personal_hash:
        return "who it was about, or what it says, is not as it was written"
    if event.previous_hash != previous_hash:
        return "it does not follow the event before it"
    if chained_hash(event, position, previous_hash, event.personal_hash) != event.hash:
        return "it is not as it was written"
    return None
