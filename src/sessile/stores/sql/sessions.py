"""Session and principal rows."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
from msgspec.structs import replace
from sqlalchemy import (
    ColumnElement,
    Row,
    Select,
    String,
    bindparam,
    case,
    delete,
    func,
    select,
    update,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import Connection

from sessile.model.binding import Binding
from sessile.model.census import Census
from sessile.model.errors import SessionCreationError
from sessile.model.fence import SessionChanges
from sessile.model.session import EndReason, Principal, RetiredToken, Session, Standing
from sessile.stores.sql import tables
from sessile.stores.sql.dialects import lock_name, put, upsert
from sessile.stores.sql.drivers import driver_of
from sessile.stores.sql.tables import principals, sessions
from sessile.stores.sql.types import from_micros, to_micros

_COLUMNS: Final = (
    "session_id", "user_id", "platform_id", "device_id", "device", "public", "data", "version", "created_at", "authenticated_at",
    "last_seen_at", "idle_expires_at", "absolute_expires_at", "ended_at", "end_reason", "token_hash", "token_seen_at",
    "is_remembered", "disconnected_at", "reconnected_at", "fingerprint", "provider_session",
)  # fmt: skip
_GET = select(sessions).where(sessions.c.session_id == bindparam("session_id"))
_GET_LOCKED = _GET.with_for_update(key_share=True)
_GET_MANY = (
    select(sessions)
    .where(sessions.c.session_id == func.any(bindparam("session_ids", type_=postgresql.ARRAY(String))))
    .order_by(sessions.c.session_id)
)
_GET_MANY_LOCKED = _GET_MANY.with_for_update(key_share=True)


# Last and first sight only ever move one way; the idle deadline never goes beyond the absolute one, which can have come nearer since the touch was
# made. The first sight of a token counts for that token alone: a touch that comes late must not open a newer one's window.
_TOUCHES: Final = {
    "sqlite": (
        "UPDATE sessions SET last_seen_at = max(last_seen_at, ?2),"
        " idle_expires_at = min(absolute_expires_at, max(idle_expires_at, ?3)),"
        " token_seen_at = coalesce(token_seen_at, CASE WHEN lower(hex(token_hash)) = ?4 THEN ?5 END)"
        " WHERE session_id = ?1 AND ended_at IS NULL"
    ),
    # Locked in id order, as everywhere.
    "postgresql": (
        "WITH seen AS MATERIALIZED (SELECT s.session_id, r FROM jsonb_array_elements($1::text::jsonb) AS given(r)"
        " JOIN sessions s ON s.session_id = r ->> 0 ORDER BY s.session_id FOR NO KEY UPDATE OF s)"
        " UPDATE sessions s SET last_seen_at = greatest(last_seen_at, (r ->> 1)::bigint),"
        " idle_expires_at = least(absolute_expires_at, greatest(idle_expires_at, (r ->> 2)::bigint)),"
        " token_seen_at = coalesce(token_seen_at, CASE WHEN encode(token_hash, 'hex') = r ->> 3 THEN (r ->> 4)::bigint END)"
        " FROM seen WHERE s.session_id = seen.session_id AND s.ended_at IS NULL"
    ),
}
_BINDING: Final = msgspec.json.Decoder(Binding)
_UPDATE: Final = update(sessions).where(sessions.c.session_id == bindparam("of_session"))


class SqlSessionRows:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.changes = SessionChanges()

    def get(self, session_id: str, *, lock: bool = False) -> Session | None:
        row = self._connection.execute(_GET_LOCKED if lock else _GET, {"session_id": session_id}).one_or_none()
        if row is None:
            return None
        session = session_of_row(row)
        if lock:
            self.changes.read([session])
        return session

    def insert(self, session: Session) -> None:
        statement = upsert(self._connection, sessions).on_conflict_do_nothing(index_elements=["session_id"])
        if self._connection.execute(statement.returning(sessions.c.session_id), _values(session)).first() is None:
            raise SessionCreationError("The session id is taken.")
        self.changes.put(session)

    def insert_many(self, sessions: Sequence[Session]) -> None:
        if not sessions:
            return
        table = tables.sessions
        statement = upsert(self._connection, table).on_conflict_do_nothing(index_elements=["session_id"])
        values = [_values(session) for session in sessions]
        made = self._connection.execute(statement.returning(table.c.session_id), values).all()
        if len(made) < len(sessions):
            raise SessionCreationError("A session id is taken.")
        for session in sessions:
            self.changes.put(session)

    def update(self, session: Session) -> None:
        self.update_many([session])

    def update_many(self, sessions: Sequence[Session]) -> None:
        if not sessions:
            return
        ordered = sorted(sessions, key=lambda session: session.session_id)
        values = [{**_values(session), "of_session": session.session_id} for session in ordered]
        self._connection.execute(_UPDATE, values if len(values) > 1 else values[0])
        for session in ordered:
            self.changes.put(replace(session, standing=Standing.CURRENT))

    def confirm(self, sessions: Sequence[Session]) -> None:
        self.changes.confirmed(sessions)

    def touch(self, seen: Sequence[Session]) -> None:
        rows = [
            (
                session.session_id,
                to_micros(session.last_seen_at),
                to_micros(session.idle_expires_at),
                session.token_hash.hex(),
                _micros(session.token_seen_at),
            )
            for session in seen
        ]
        driver, dialect = driver_of(self._connection), self._connection.dialect.name
        if dialect == "postgresql":
            driver.fetch(_TOUCHES[dialect], msgspec.json.encode(rows).decode())
        else:
            driver.write(_TOUCHES[dialect], rows)
        self.changes.touched.update(session.session_id for session in seen)

    def of_user(
        self, user_id: str, now: datetime, *, lock: bool = False, after: str = "", limit: int | None = None
    ) -> list[Session]:
        statement = (
            select(sessions)
            .where(sessions.c.user_id == user_id, sessions.c.session_id > after, *_live(now))
            .order_by(sessions.c.session_id)
            .limit(limit)
        )
        if lock:
            statement = statement.with_for_update(key_share=True)
        return self._read(statement, is_locked=lock)

    def of_provider(self, provider_session: str, now: datetime) -> list[Session]:
        statement = (
            select(sessions)
            .where(sessions.c.provider_session == provider_session, *_live(now))
            .order_by(sessions.c.session_id)
            .with_for_update(key_share=True)
        )
        return self._read(statement, is_locked=True)

    def live(self, now: datetime, *, after: str = "", limit: int) -> list[Session]:
        statement = select(sessions).where(*_live(now), sessions.c.session_id > after)
        rows = self._connection.execute(statement.order_by(sessions.c.session_id).limit(limit))
        return [session_of_row(row) for row in rows]

    def census(self, now: datetime, active_since: datetime, busiest: int) -> Census:
        counted = self._connection.execute(
            select(
                func.count(),
                func.count(sessions.c.user_id.distinct()),
                func.count(sessions.c.user_id),
                func.count(case((sessions.c.last_seen_at >= active_since, 1))),
            ).where(*_live(now))
        ).one()
        open_ones = select(func.count()).select_from(sessions).where(sessions.c.ended_at.is_(None))
        number = func.count().label("number")
        of_users = select(sessions.c.user_id, number).where(*_live(now), sessions.c.user_id.is_not(None))
        first = of_users.group_by(sessions.c.user_id).order_by(number.desc(), sessions.c.user_id).limit(busiest)
        return Census(
            sessions=counted[0],
            users=counted[1],
            anonymous=counted[0] - counted[2],
            active=counted[3],
            overdue=self._connection.execute(open_ones).scalar_one() - counted[0],
            busiest=[(row.user_id, row.number) for row in self._connection.execute(first)],
        )

    def live_users(self, now: datetime, after: str, limit: int) -> list[str]:
        statement = (
            select(sessions.c.user_id)
            .where(sessions.c.user_id > after, *_live(now))
            .distinct()
            .order_by(sessions.c.user_id)
            .limit(limit)
        )
        return list(self._connection.execute(statement).scalars())

    def expired(self, now: datetime, limit: int) -> list[Session]:
        # The idle deadline never lies behind the absolute one, so one index finds both kinds.
        statement = (
            select(sessions)
            .where(sessions.c.ended_at.is_(None), sessions.c.idle_expires_at <= now)
            .order_by(sessions.c.idle_expires_at)
            .limit(limit)
            .with_for_update(key_share=True, skip_locked=True)
        )
        return self._read(statement, is_locked=True)

    def ended_before(self, moment: datetime, limit: int) -> list[Session]:
        statement = (
            select(sessions)
            .where(sessions.c.ended_at < moment)
            .order_by(sessions.c.ended_at, sessions.c.session_id)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        return self._read(statement, is_locked=True)

    def ended_since(self, user_id: str, moment: datetime) -> list[Session]:
        statement = (
            select(sessions)
            .where(sessions.c.user_id == user_id, sessions.c.ended_at >= moment)
            .order_by(sessions.c.session_id)
            .with_for_update(key_share=True)
        )
        return self._read(statement, is_locked=True)

    def kept_of_user(self, user_id: str, *, lock: bool = False, after: str = "", limit: int) -> list[Session]:
        # Live ones and those that are over have an index each.
        found = list[Session]()
        for is_meant in (sessions.c.ended_at.is_(None), sessions.c.ended_at.is_not(None)):
            statement = (
                select(sessions)
                .where(sessions.c.user_id == user_id, sessions.c.session_id > after, is_meant)
                .order_by(sessions.c.session_id)
                .limit(limit)
            )
            found += self._read(statement.with_for_update(key_share=True) if lock else statement, is_locked=lock)
        return sorted(found, key=lambda session: session.session_id)[:limit]

    def _read(self, statement: Select[Any], *, is_locked: bool) -> list[Session]:
        found = [session_of_row(row) for row in self._connection.execute(statement)]
        if is_locked:
            self.changes.read(found)
        return found

    def delete(self, session_ids: Sequence[str]) -> None:
        for session_id in sorted(session_ids):
            self._connection.execute(delete(sessions).where(sessions.c.session_id == session_id))
        self.changes.removed(session_ids)

    def get_many(self, session_ids: Sequence[str], *, lock: bool = False) -> dict[str, Session]:
        if self._connection.dialect.name == "postgresql" and len(session_ids) > 1:
            statement = _GET_MANY_LOCKED if lock else _GET_MANY
            rows = self._connection.execute(statement, {"session_ids": sorted(set(session_ids))})
            several = [session_of_row(row) for row in rows]
            if lock:
                self.changes.read(several)
            return {session.session_id: session for session in several}
        # Each by the prepared statement: an IN of varying length would be compiled anew for each length.
        found = (self.get(session_id, lock=lock) for session_id in sorted(set(session_ids)))
        return {session.session_id: session for session in found if session is not None}

    def principal(self, user_id: str, *, lock: bool = False) -> Principal | None:
        if lock:
            lock_name(self._connection, f"principal:{user_id}")
        row = self._connection.execute(select(principals).where(principals.c.user_id == user_id)).one_or_none()
        if row is None:
            return None
        return Principal(row.user_id, row.public, tuple(row.roles), row.disabled_at, row.sessions_max)

    def put_principal(self, principal: Principal) -> None:
        values = {
            "user_id": principal.user_id,
            "public": dict(principal.public),
            "roles": list(principal.roles),
            "disabled_at": principal.disabled_at,
            "sessions_max": principal.sessions_max,
        }
        self._connection.execute(put(self._connection, principals, ("user_id",)), values)

    def delete_principal(self, user_id: str) -> bool:
        lock_name(self._connection, f"principal:{user_id}")
        return bool(self._connection.execute(delete(principals).where(principals.c.user_id == user_id)).rowcount)


def _live(now: datetime) -> tuple[ColumnElement[bool], ...]:
    return sessions.c.ended_at.is_(None), sessions.c.idle_expires_at > now, sessions.c.absolute_expires_at > now


def _values(session: Session) -> dict[str, Any]:
    values = {name: getattr(session, name) for name in _COLUMNS}
    values["device"], values["public"] = dict(session.device), dict(session.public)
    values["end_reason"] = None if session.end_reason is None else str(session.end_reason)
    values["binding"] = None if session.binding is None else msgspec.json.encode(session.binding)
    values["retired_tokens"] = [
        {
            "hash": base64.b64encode(retired.token_hash).decode(),
            "at": _micros(retired.retired_at),
            "principal_changed": retired.principal_changed,
            "authenticated_at": _micros(retired.authenticated_at),
            "successor_seen_at": _micros(retired.successor_seen_at),
        }
        for retired in session.retired_tokens
    ]
    return values


def session_of_row(row: Row[Any]) -> Session:
    """The record of a whole row of `sessions`."""
    values = row._asdict()
    reason = values.pop("end_reason")
    retired = values.pop("retired_tokens")
    binding = values.pop("binding")
    return Session(
        **values,
        binding=None if binding is None else _BINDING.decode(binding),
        end_reason=None if reason is None else EndReason(reason),
        retired_tokens=tuple(
            RetiredToken(
                base64.b64decode(item["hash"]),
                from_micros(item["at"]),
                item["principal_changed"],
                _moment(item["authenticated_at"]),
                _moment(item["successor_seen_at"]),
            )
            for item in retired
        ),
    )


def _micros(moment: datetime | None) -> int | None:
    return None if moment is None else to_micros(moment)


def _moment(micros: int | None) -> datetime | None:
    return None if micros is None else from_micros(micros)
