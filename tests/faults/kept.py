"""What SQL has at the end of a round, read without the cache and past all proxies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import text
from sqlalchemy.engine import Connection

from sessile.model.document import Actor
from sessile.model.values import decode
from sessile.runtime.blocking import SessionManager
from sessile.runtime.settings import Settings
from tests.faults.history import Kept
from tests.faults.load import Station

_LOG = text("SELECT version, seq, idempotency_key FROM changes WHERE document_id = :id ORDER BY version")


def read(settings: Settings, stations: Sequence[Station]) -> Kept:
    """Raises StoreUnavailable."""
    with SessionManager(settings) as manager:
        sessions = {station.writer.session_id: _session(manager, station.writer.session_id) for station in stations}
        documents = {station.document_id: _document(manager, station) for station in stations}
    return Kept(sessions, documents)


def _session(manager: SessionManager, session_id: str) -> tuple[int, int, frozenset[int]]:
    session = manager.get_session(session_id)
    data: dict[str, Any] = decode(session.data)
    return session.version, data.get("n", 0), frozenset(map(int, data.get("seen", {})))


def _document(manager: SessionManager, station: Station) -> tuple[Sequence[tuple[int, str]], int, int]:
    document = manager.documents.get(Actor(user_id=station.actor.user_id), station.document_id)

    def log(connection: Connection) -> list[tuple[int, str]]:
        rows = connection.execute(_LOG, {"id": station.document_id}).all()
        return [(row.version, row.idempotency_key or str(row.seq)) for row in rows]

    return manager.transact(log), document.version, msgspec.convert(document.state["n"], int)
