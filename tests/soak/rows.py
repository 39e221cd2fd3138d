"""Whether the rows of a database fit together: nothing dangles, every audit chain verifies, and whatever happened is in it once.

Reads the file with sqlite3 alone, in one view of it, whether or not a server works on it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from sessile.model.audit import AuditEvent, fault_of
from tests.soak.visitors import Visits

_UNIX = datetime(1970, 1, 1, tzinfo=UTC)
_OF_DOCUMENTS = ("changes", "conflicts", "checkpoints", "document_devices", "log_bases")
_DANGLING = "SELECT 1 FROM {} WHERE document_id NOT IN (SELECT document_id FROM documents)"
_QUERIES = {
    "a document whose log begins nowhere": (
        "SELECT document_id FROM documents WHERE document_id NOT IN (SELECT document_id FROM log_bases)"
    ),
    "a document of a session that is not there": (
        "SELECT document_id FROM documents WHERE owner_session_id NOT IN (SELECT session_id FROM sessions)"
    ),
    "a session on a platform that is not its user's": (
        "SELECT session_id FROM sessions s LEFT JOIN platforms p USING (platform_id)"
        " WHERE s.platform_id IS NOT NULL AND (p.platform_id IS NULL OR p.user_id IS NOT s.user_id)"
    ),
    "a live session on a platform that is gone": (
        "SELECT session_id FROM sessions s JOIN platforms p USING (platform_id) WHERE s.ended_at IS NULL AND NOT p.is_active"
    ),
    "a user with active platforms and not exactly one default": (
        "SELECT user_id FROM platforms GROUP BY user_id HAVING max(is_active) AND sum(is_default) <> 1"
    ),
    "an inactive default": "SELECT platform_id FROM platforms WHERE is_default AND NOT is_active",
    "a hand-off that led to a session that is not there": (
        "SELECT handoff_id FROM handoffs WHERE new_session_id NOT IN (SELECT session_id FROM sessions)"
        " OR (status = 'completed' AND new_session_id IS NULL)"
    ),
    "an idle deadline behind the absolute one": (
        "SELECT session_id FROM sessions WHERE idle_expires_at > absolute_expires_at"
    ),
    "events of a stream without a chain": (
        "SELECT DISTINCT stream FROM audit_events WHERE stream NOT IN (SELECT stream FROM audit_streams)"
    ),
    # Whatever happened is in the audit log once, and what is in it has happened.
    "a session that did not begin exactly once": (
        "SELECT session_id FROM sessions s WHERE 1 <> (SELECT count(*) FROM audit_events e"
        " WHERE e.stream = 'session:' || s.session_id AND e.type = 'session_created')"
    ),
    "a session that ended, and not exactly once": (
        "SELECT session_id FROM sessions s WHERE (s.ended_at IS NOT NULL) <> (SELECT count(*) FROM audit_events e"
        " WHERE e.stream = 'session:' || s.session_id AND e.type = 'session_ended')"
    ),
    "events of a session that is not there": (
        "SELECT DISTINCT stream FROM audit_events WHERE stream LIKE 'session:%'"
        " AND substr(stream, 9) NOT IN (SELECT session_id FROM sessions)"
    ),
    "a document that was not made exactly once": (
        "SELECT document_id FROM documents d WHERE 1 <> (SELECT count(*) FROM audit_events e"
        " WHERE e.stream = 'document:' || d.document_id AND e.type = 'document_created')"
    ),
    "a document with another number of restores than it was restored": (
        "SELECT document_id FROM documents d WHERE d.generation <> (SELECT count(*) FROM audit_events e"
        " WHERE e.stream = 'document:' || d.document_id AND e.type = 'document_restored')"
    ),
    "a hand-off that was completed, and not exactly once": (
        "SELECT handoff_id FROM handoffs h WHERE (h.status = 'completed') <> (SELECT count(*) FROM audit_events e"
        " WHERE e.stream = 'session:' || h.session_id AND e.type = 'handoff_completed'"
        " AND json_extract(CAST(e.data AS TEXT), '$.handoff_id') = h.handoff_id)"
    ),
}


@dataclass(frozen=True)
class Looked:
    """How much was looked at, and what was wrong."""

    streams: int
    events: int
    faults: Sequence[str]


def look(database: Path, visits: Sequence[Visits] = ()) -> Looked:
    """Everything that does not fit together, and what was acknowledged to a visitor and is not so."""
    # What is acknowledged by now must be in the view that is taken after it.
    begun = {handle for one in visits for handle in one.begun}
    ended = {handle for one in visits for handle in one.ended}
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=10, isolation_level=None)) as connection:
        connection.execute("BEGIN")
        faults = [*_faults_of_rows(connection), *_faults_of_visits(connection, begun, ended)]
        streams, events, broken = _chains(connection)
        return Looked(streams, events, [*faults, *broken])


def _faults_of_rows(connection: sqlite3.Connection) -> Iterator[str]:
    for table, row, parent, _ in connection.execute("PRAGMA foreign_key_check").fetchall():
        yield f"row {row} of {table} refers to nothing in {parent}"
    for table in _OF_DOCUMENTS:
        if connection.execute(_DANGLING.format(table)).fetchone() is not None:
            yield f"{table} of a document that is not there"
    for fault, query in _QUERIES.items():
        found = [str(row[0]) for row in connection.execute(query).fetchall()]
        if found:
            yield f"{fault}: {found[0]}" + (f" and {len(found) - 1} more" if len(found) > 1 else "")


def _faults_of_visits(connection: sqlite3.Connection, begun: set[str], ended: set[str]) -> Iterator[str]:
    rows = dict(connection.execute("SELECT session_id, ended_at FROM sessions").fetchall())
    for handle in sorted(begun - rows.keys()):
        yield f"session {handle} was acknowledged and is not there"
    for handle in sorted(ended & rows.keys()):
        if rows[handle] is None:
            yield f"the end of session {handle} was acknowledged, and it is live"


def _chains(connection: sqlite3.Connection) -> tuple[int, int, list[str]]:
    chains = connection.execute("SELECT stream, position, hash, base_position, base_hash FROM audit_streams").fetchall()
    events, faults = 0, list[str]()
    for stream, position, last_hash, base_position, base_hash in chains:
        at, previous = base_position, base_hash
        for event in _events(connection, stream):
            problem = fault_of(event, at + 1, previous)
            if problem is not None:
                faults.append(f"{stream} at position {event.position}: {problem}")
            at, previous, events = event.position, event.hash, events + 1
        if (at, previous) != (position, last_hash):
            faults.append(f"{stream} ends at position {at} and not at {position} as its chain says")
    return len(chains), events, faults


_FIELDS = (
    "type", "at", "user_id", "session_id", "document_id", "data", "position", "salt", "personal_hash", "previous_hash", "hash",
)  # fmt: skip


def _events(connection: sqlite3.Connection, stream: str) -> Iterator[AuditEvent]:
    statement = f"SELECT {', '.join(_FIELDS)} FROM audit_events WHERE stream = ? ORDER BY position"
    for row in connection.execute(statement, (stream,)).fetchall():
        values: dict[str, Any] = dict(zip(_FIELDS, row, strict=True))
        values |= {
            "at": _UNIX + timedelta(microseconds=values["at"]),
            "data": msgspec.json.decode(values["data"]),
        }
        yield AuditEvent(stream=stream, **values)
