"""Rows of the operators' console: their credentials, and lists over everybody's sessions and devices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Row,
    String,
    and_,
    case,
    cast,
    delete,
    desc,
    exists,
    false,
    func,
    literal,
    literal_column,
    or_,
    select,
    text,
    tuple_,
)
from sqlalchemy.engine import Connection

from sessile.model.audit import AuditEvent, AuditPlace, micros
from sessile.model.operator_access import CredentialKind, OperatorCredential, Role
from sessile.model.presence import PresenceLease
from sessile.model.session import Session
from sessile.model.session_query import LIVE, SessionQuery, SessionState
from sessile.stores.sql.dialects import put
from sessile.stores.sql.sessions import session_of_row
from sessile.stores.sql.tables import audit_events, operator_credentials, presence, sessions

_PLACE: Final = (audit_events.c.at, audit_events.c.stream, audit_events.c.position)
_LEASE_ORDER: Final = (presence.c.session_id, presence.c.node_id, presence.c.device_id)
_ESCAPE: Final = "\\"
_AT_ONCE: Final = 500
"""Ids in one statement."""
_LABEL: Final = {
    "sqlite": "json_extract(CAST(sessions.device AS TEXT), '$.label')",
    "postgresql": "convert_from(sessions.device, 'UTF8')::jsonb ->> 'label'",
}


class SqlConsoleRows:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    # -- credentials ------------------------------------------------------------------------------------------------------------------

    def credential(self, credential_id: str, *, lock: bool = False) -> OperatorCredential | None:
        statement = select(operator_credentials).where(operator_credentials.c.credential_id == credential_id)
        row = self._connection.execute(statement.with_for_update() if lock else statement).one_or_none()
        return None if row is None else _credential(row)

    def put_credential(self, credential: OperatorCredential) -> None:
        values = {column.name: getattr(credential, column.name) for column in operator_credentials.columns}
        values |= {"kind": str(credential.kind), "role": str(credential.role)}
        self._connection.execute(put(self._connection, operator_credentials, ("credential_id",)), values)

    def credentials(self, now: datetime) -> list[OperatorCredential]:
        table = operator_credentials
        statement = select(table).where(
            table.c.ended_at.is_(None), table.c.idle_expires_at > now, table.c.absolute_expires_at > now
        )
        return [_credential(row) for row in self._connection.execute(statement.order_by(table.c.credential_id))]

    def forget_credentials(self, before: datetime, limit: int) -> int:
        table = operator_credentials
        over = select(table.c.credential_id).where(table.c.absolute_expires_at < before).order_by(table.c.credential_id)
        return int(self._connection.execute(delete(table).where(table.c.credential_id.in_(over.limit(limit)))).rowcount)

    # -- sessions ---------------------------------------------------------------------------------------------------------------------

    def search(
        self, query: SessionQuery, now: datetime, *, after: str | None, limit: int, newest_first: bool
    ) -> list[Session]:
        statement = select(sessions).where(*self._conditions(query, now))
        key = sessions.c.session_id
        if after is not None:
            statement = statement.where(key < after if newest_first else key > after)
        statement = statement.order_by(key.desc() if newest_first else key).limit(limit)
        return [session_of_row(row) for row in self._connection.execute(statement)]

    def count(self, query: SessionQuery, now: datetime) -> int:
        statement = select(func.count()).select_from(sessions).where(*self._conditions(query, now))
        return int(self._connection.execute(statement).scalar_one())

    def states(self, now: datetime) -> Mapping[SessionState, int]:
        # Grouped once over all leases: as correlated conditions it would be a look for each session.
        of = presence.c.session_id
        is_session = presence.c.document_id == ""
        connected = func.max(case((is_session, 1), else_=0)).label("connected")
        behind = func.max(case((and_(~is_session, presence.c.is_following == false()), 1), else_=0)).label("behind")
        here = select(of, connected, behind).where(presence.c.lease_until > now).group_by(of).subquery()
        state = case(
            (and_(here.c.connected == 1, here.c.behind == 1), literal("degraded")),
            (here.c.connected == 1, literal("online")),
            (sessions.c.disconnected_at.is_not(None), literal("offline")),
            else_=literal("quiet"),
        ).label("state")
        joined = sessions.outerjoin(here, here.c.session_id == sessions.c.session_id)
        statement = select(state, func.count()).select_from(joined).where(*_live(now)).group_by(text("1"))
        return {SessionState(row[0]): int(row[1]) for row in self._connection.execute(statement)}

    def _conditions(self, query: SessionQuery, now: datetime) -> list[ColumnElement[bool]]:
        found = [_in_states(query.states, now)]
        if query.user is not None:
            user = sessions.c.user_id
            found.append(_begins(user, query.user.text) if query.user.is_beginning else user == query.user.text)
        if query.is_anonymous:
            found.append(sessions.c.user_id.is_(None))
        if query.platform_id is not None:
            found.append(sessions.c.platform_id == query.platform_id)
        if query.has_platform is False:
            found.append(sessions.c.platform_id.is_(None))
        if query.handle is not None:
            found.append(_begins(sessions.c.session_id, query.handle))
        if query.node_id is not None:
            found.append(_lease(now, presence.c.node_id == query.node_id))
        if query.device:
            found.append(self._has_label(query.device, now))
        for condition, moment in (
            (sessions.c.created_at.__lt__, query.created_before),
            (sessions.c.created_at.__gt__, query.created_after),
            (sessions.c.last_seen_at.__lt__, query.seen_before),
            (sessions.c.last_seen_at.__gt__, query.seen_after),
        ):
            if moment is not None:
                found.append(condition(moment))
        return found

    def _has_label(self, part: str, now: datetime) -> ColumnElement[bool]:
        own: ColumnElement[Any] = literal_column(_LABEL[self._connection.dialect.name], String)
        return or_(_contains(own, part), _lease(now, _contains(presence.c.label, part)))

    # -- devices ----------------------------------------------------------------------------------------------------------------------

    def leases_of(self, session_ids: Sequence[str], now: datetime) -> list[PresenceLease]:
        ordered, found = sorted(set(session_ids)), list[PresenceLease]()
        for first in range(0, len(ordered), _AT_ONCE):
            some = presence.c.session_id.in_(ordered[first : first + _AT_ONCE])
            found += _leases(self._connection.execute(select(presence).where(some, presence.c.lease_until > now)))
        return sorted(found, key=lambda lease: lease.key)

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
        statement = select(presence).where(*_meant(now, node_id, label, session_id))
        if after:
            statement = statement.where(tuple_(*_LEASE_ORDER) > tuple_(*(literal(one) for one in after)))
        return _leases(self._connection.execute(statement.order_by(*_LEASE_ORDER).limit(limit)))

    def count_leases(self, now: datetime, *, node_id: str | None, label: str, session_id: str | None) -> int:
        statement = select(func.count()).select_from(presence).where(*_meant(now, node_id, label, session_id))
        return int(self._connection.execute(statement).scalar_one())

    def nodes(self, now: datetime) -> list[tuple[str, int, int, int]]:
        node = presence.c.node_id
        numbers = (func.count(presence.c.session_id.distinct()), func.count(), func.sum(presence.c.tabs))
        statement = select(node, *numbers).where(presence.c.document_id == "", presence.c.lease_until > now)
        rows = self._connection.execute(statement.group_by(node).order_by(node))
        return [(row[0], int(row[1]), int(row[2]), int(row[3])) for row in rows]

    # -- audit ------------------------------------------------------------------------------------------------------------------------

    def audit_before(self, place: AuditPlace | None, limit: int) -> list[AuditEvent]:
        statement = select(audit_events).order_by(*(desc(column) for column in _PLACE)).limit(limit)
        if place is not None:
            # The first condition says nothing new: it is what the index on the time understands.
            value = tuple_(
                literal(micros(place.at), BigInteger), literal(place.stream), literal(place.position, BigInteger)
            )
            statement = statement.where(audit_events.c.at <= place.at, tuple_(*_PLACE) < value)
        return [AuditEvent(**row._asdict()) for row in self._connection.execute(statement)]


def _live(now: datetime) -> tuple[ColumnElement[bool], ...]:
    return sessions.c.ended_at.is_(None), sessions.c.idle_expires_at > now, sessions.c.absolute_expires_at > now


def _lease(now: datetime, *conditions: ColumnElement[bool]) -> ColumnElement[bool]:
    return exists().where(presence.c.session_id == sessions.c.session_id, presence.c.lease_until > now, *conditions)


def _in_states(states: frozenset[SessionState], now: datetime) -> ColumnElement[bool]:
    live = and_(*_live(now))
    if states == LIVE:
        return live
    is_here = _lease(now, presence.c.document_id == "")
    is_behind = _lease(now, presence.c.document_id != "", presence.c.is_following == false())
    was_here = sessions.c.disconnected_at.is_not(None)
    of_state: Mapping[SessionState, ColumnElement[bool]] = {
        SessionState.ONLINE: and_(live, is_here, ~is_behind),
        SessionState.DEGRADED: and_(live, is_here, is_behind),
        SessionState.OFFLINE: and_(live, ~is_here, was_here),
        SessionState.QUIET: and_(live, ~is_here, ~was_here),
        SessionState.EXPIRED: and_(sessions.c.ended_at.is_(None), ~live),
        SessionState.ENDED: sessions.c.ended_at.is_not(None),
    }
    return or_(*(of_state[state] for state in sorted(states)))


def _meant(now: datetime, node_id: str | None, label: str, session_id: str | None) -> list[ColumnElement[bool]]:
    found = [presence.c.document_id == "", presence.c.lease_until > now]
    if node_id is not None:
        found.append(presence.c.node_id == node_id)
    if session_id is not None:
        found.append(presence.c.session_id == session_id)
    if label:
        found.append(_contains(presence.c.label, label))
    return found


def _escaped(part: str) -> str:
    return part.replace(_ESCAPE, _ESCAPE * 2).replace("%", r"\%").replace("_", r"\_")


def _contains(column: ColumnElement[Any], part: str) -> ColumnElement[bool]:
    return func.lower(cast(column, String)).like(f"%{_escaped(part)}%", escape=_ESCAPE)


def _begins(column: ColumnElement[Any], beginning: str) -> ColumnElement[bool]:
    # Not LIKE, which looks at no case on SQLite.
    return func.substr(column, 1, len(beginning)) == beginning


def _leases(rows: Any) -> list[PresenceLease]:
    return [PresenceLease(**row._asdict()) for row in rows]


def _credential(row: Row[Any]) -> OperatorCredential:
    values = row._asdict()
    return OperatorCredential(**values | {"kind": CredentialKind(values["kind"]), "role": Role(values["role"])})
