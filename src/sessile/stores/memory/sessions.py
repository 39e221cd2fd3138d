"""Session and principal rows in memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from msgspec.structs import replace

from sessile.model.census import Census
from sessile.model.content import ContentKind
from sessile.model.errors import SessionCreationError
from sessile.model.fence import SessionChanges
from sessile.model.session import Principal, Session, Standing
from sessile.stores.memory.table import Table


class MemorySessionRows:
    def __init__(self, sessions: Table[str, Session], principals: Table[str, Principal]) -> None:
        self._sessions = sessions
        self._principals = principals
        self.changes = SessionChanges()
        self.tables: tuple[Table[Any, Any], ...] = (sessions, principals)

    def get(self, session_id: str, *, lock: bool = False) -> Session | None:
        session = self._sessions.get(session_id)
        if session is not None:
            self.changes.read([session])
        return session

    def insert(self, session: Session) -> None:
        if self._sessions.get(session.session_id) is not None:
            raise SessionCreationError("The session id is taken.")
        self._put(session)

    def insert_many(self, sessions: Sequence[Session]) -> None:
        for session in sessions:
            self.insert(session)

    def update(self, session: Session) -> None:
        if self._sessions.get(session.session_id) is not None:
            self._put(replace(session, standing=Standing.CURRENT))

    def update_many(self, sessions: Sequence[Session]) -> None:
        for session in sessions:
            self.update(session)

    def _put(self, session: Session) -> None:
        self._sessions.put(session.session_id, session)
        self.changes.put(session)

    def confirm(self, sessions: Sequence[Session]) -> None:
        self.changes.confirmed(sessions)

    def touch(self, seen: Sequence[Session]) -> None:
        for session in seen:
            current = self._sessions.get(session.session_id)
            if current is None or current.ended_at is not None:
                continue
            first = session.token_seen_at if current.token_hash == session.token_hash else None
            touched = replace(
                current,
                last_seen_at=max(current.last_seen_at, session.last_seen_at),
                idle_expires_at=min(max(current.idle_expires_at, session.idle_expires_at), current.absolute_expires_at),
                token_seen_at=current.token_seen_at or first,
            )
            self._sessions.put(session.session_id, touched)
            self.changes.touched.add(session.session_id)

    def of_user(
        self, user_id: str, now: datetime, *, lock: bool = False, after: str = "", limit: int | None = None
    ) -> list[Session]:
        live = [session for session in self._live(now) if session.user_id == user_id and session.session_id > after]
        self.changes.read(live)
        return sorted(live, key=lambda session: session.session_id)[:limit]

    def of_provider(self, provider_session: str, now: datetime) -> list[Session]:
        live = [session for session in self._live(now) if session.provider_session == provider_session]
        self.changes.read(live)
        return sorted(live, key=lambda session: session.session_id)

    def live_users(self, now: datetime, after: str, limit: int) -> list[str]:
        return sorted({s.user_id for s in self._live(now) if s.user_id is not None and s.user_id > after})[:limit]

    def live(self, now: datetime, *, after: str = "", limit: int) -> list[Session]:
        found = [s for s in self._live(now) if s.session_id > after]
        return sorted(found, key=lambda session: session.session_id)[:limit]

    def census(self, now: datetime, active_since: datetime, busiest: int) -> Census:
        live = self._live(now)
        of_users = Counter(s.user_id for s in live if s.user_id is not None)
        return Census(
            sessions=len(live),
            users=len(of_users),
            anonymous=len(live) - of_users.total(),
            active=sum(s.last_seen_at >= active_since for s in live),
            overdue=sum(s.ended_at is None for s in self._sessions.rows()) - len(live),
            busiest=sorted(of_users.items(), key=lambda one: (-one[1], one[0]))[:busiest],
        )

    def _live(self, now: datetime) -> list[Session]:
        return [s for s in self._sessions.rows() if s.ended_at is None and s.expires_at > now]

    def expired(self, now: datetime, limit: int) -> list[Session]:
        over = [s for s in self._sessions.rows() if s.ended_at is None and s.idle_expires_at <= now]
        return sorted(over, key=lambda session: session.idle_expires_at)[:limit]

    def ended_before(self, moment: datetime, limit: int) -> list[Session]:
        over = [(s.ended_at, s.session_id, s) for s in self._sessions.rows() if s.ended_at is not None]
        return [session for ended_at, _, session in sorted(over, key=lambda o: o[:2]) if ended_at < moment][:limit]

    def ended_since(self, user_id: str, moment: datetime) -> list[Session]:
        found = [
            s for s in self._sessions.rows() if s.user_id == user_id and s.ended_at is not None and s.ended_at >= moment
        ]
        self.changes.read(found)
        return sorted(found, key=lambda session: session.session_id)

    def kept_of_user(self, user_id: str, *, lock: bool = False, after: str = "", limit: int) -> list[Session]:
        found = [s for s in self._sessions.rows() if s.user_id == user_id and s.session_id > after]
        found = sorted(found, key=lambda session: session.session_id)[:limit]
        if lock:
            self.changes.read(found)
        return found

    def delete(self, session_ids: Sequence[str]) -> None:
        for session_id in session_ids:
            self._sessions.delete(session_id)
        self.changes.removed(session_ids)

    def get_many(self, session_ids: Sequence[str], *, lock: bool = False) -> dict[str, Session]:
        found = [self.get(session_id) for session_id in session_ids]
        return {session.session_id: session for session in found if session is not None}

    def everybody(self) -> list[Session]:
        """All that there are, over or not, in no order."""
        return list(self._sessions.rows())

    def contents(self, kind: ContentKind) -> list[Any]:
        """All records of that kind, in no order. A re-encryption locks what it reads."""
        if kind is ContentKind.PRINCIPAL:
            return list(self._principals.rows())
        found = list(self._sessions.rows()) if kind is ContentKind.SESSION else []
        self.changes.read(found)
        return found

    def principal(self, user_id: str, *, lock: bool = False) -> Principal | None:
        return self._principals.get(user_id)

    def put_principal(self, principal: Principal) -> None:
        self._principals.put(principal.user_id, principal)

    def delete_principal(self, user_id: str) -> bool:
        was = self._principals.get(user_id) is not None
        self._principals.delete(user_id)
        return was
