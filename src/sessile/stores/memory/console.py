"""Rows of the operators' console, in memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sessile.model.audit import AuditEvent, AuditPlace
from sessile.model.operator_access import OperatorCredential
from sessile.model.presence import PresenceLease
from sessile.model.session import Session
from sessile.model.session_query import LIVE, SessionQuery, SessionState, state_of
from sessile.stores.memory.presence import MemoryPresenceRows
from sessile.stores.memory.sessions import MemorySessionRows
from sessile.stores.memory.table import Table


class MemoryConsoleRows:
    def __init__(
        self,
        credentials: Table[str, OperatorCredential],
        sessions: MemorySessionRows,
        presence: MemoryPresenceRows,
        streams: Table[str, tuple[AuditEvent, ...]],
    ) -> None:
        self._credentials = credentials
        self._sessions = sessions
        self._presence = presence
        self._streams = streams
        self.tables: tuple[Table[Any, Any], ...] = (credentials,)

    def credential(self, credential_id: str, *, lock: bool = False) -> OperatorCredential | None:
        return self._credentials.get(credential_id)

    def put_credential(self, credential: OperatorCredential) -> None:
        self._credentials.put(credential.credential_id, credential)

    def credentials(self, now: datetime) -> list[OperatorCredential]:
        good = [one for one in self._credentials.rows() if one.refusal(now) is None]
        return sorted(good, key=lambda one: one.credential_id)

    def forget_credentials(self, before: datetime, limit: int) -> int:
        over = sorted(one.credential_id for one in self._credentials.rows() if one.absolute_expires_at < before)[:limit]
        for credential_id in over:
            self._credentials.delete(credential_id)
        return len(over)

    def search(
        self, query: SessionQuery, now: datetime, *, after: str | None, limit: int, newest_first: bool
    ) -> list[Session]:
        found = sorted(self._meant(query, now), key=lambda session: session.session_id, reverse=newest_first)
        if after is not None:
            found = [s for s in found if (s.session_id < after if newest_first else s.session_id > after)]
        return found[:limit]

    def count(self, query: SessionQuery, now: datetime) -> int:
        return len(self._meant(query, now))

    def states(self, now: datetime) -> Mapping[SessionState, int]:
        by_session = self._by_session(now)
        states = (state_of(s, by_session.get(s.session_id, []), now) for s in self._sessions.everybody())
        return Counter(state for state in states if state in LIVE)

    def _meant(self, query: SessionQuery, now: datetime) -> list[Session]:
        by_session = self._by_session(now)
        return [s for s in self._sessions.everybody() if _fits(s, by_session.get(s.session_id, []), query, now)]

    def _by_session(self, now: datetime) -> dict[str, list[PresenceLease]]:
        found: dict[str, list[PresenceLease]] = {}
        for lease in self._presence.standing(now):
            found.setdefault(lease.session_id, []).append(lease)
        return found

    def leases_of(self, session_ids: Sequence[str], now: datetime) -> list[PresenceLease]:
        wanted = set(session_ids)
        return [lease for lease in self._presence.standing(now) if lease.session_id in wanted]

    def leases(
        self,
        now: datetime,
        *,
        node_id: str | None,
        label: str,
        session_id: str | None,
        after: Sequence[str],
        limit: int,
    ) -> list[PresenceLease]:
        found = sorted(self._leases(now, node_id, label, session_id), key=_place)
        return [lease for lease in found if not after or _place(lease) > tuple(after)][:limit]

    def count_leases(self, now: datetime, *, node_id: str | None, label: str, session_id: str | None) -> int:
        return len(self._leases(now, node_id, label, session_id))

    def _leases(self, now: datetime, node_id: str | None, label: str, session_id: str | None) -> list[PresenceLease]:
        return [
            lease
            for lease in self._presence.standing(now)
            if not lease.document_id
            and node_id in (None, lease.node_id)
            and session_id in (None, lease.session_id)
            and label in lease.label.lower()
        ]

    def nodes(self, now: datetime) -> list[tuple[str, int, int, int]]:
        of_node: dict[str, list[PresenceLease]] = {}
        for lease in self._leases(now, None, "", None):
            of_node.setdefault(lease.node_id, []).append(lease)
        return [
            (node, len({e.session_id for e in leases}), len(leases), sum(e.tabs for e in leases))
            for node, leases in sorted(of_node.items())
        ]

    def audit_before(self, place: AuditPlace | None, limit: int) -> list[AuditEvent]:
        every = (event for events in self._streams.rows() for event in events)
        found = sorted(every, key=AuditPlace.of, reverse=True)
        return [event for event in found if place is None or AuditPlace.of(event) < place][:limit]


def _place(lease: PresenceLease) -> tuple[str, str, str]:
    return lease.session_id, lease.node_id, lease.device_id


def _fits(session: Session, leases: Sequence[PresenceLease], query: SessionQuery, now: datetime) -> bool:
    label = str(session.device.get("label") or "").lower()
    return (
        state_of(session, leases, now) in query.states
        and (query.user is None or query.user.fits(session.user_id))
        and not (query.is_anonymous and session.user_id is not None)
        and query.platform_id in (None, session.platform_id)
        and not (query.has_platform is False and session.platform_id is not None)
        and session.session_id.startswith(query.handle or "")
        and (query.node_id is None or any(lease.node_id == query.node_id for lease in leases))
        and (not query.device or query.device in label or any(query.device in e.label.lower() for e in leases))
        and (query.created_before is None or session.created_at < query.created_before)
        and (query.created_after is None or session.created_at > query.created_after)
        and (query.seen_before is None or session.last_seen_at < query.seen_before)
        and (query.seen_after is None or session.last_seen_at > query.seen_after)
    )
