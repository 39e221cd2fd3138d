"""Users as far as sessions are concerned: what pages see of them, their roles, whether they may come in, and how often at once.

A user's row is locked by every login and by everything here. That is what makes a limit exact when several logins arrive at the same
moment, and what keeps one from slipping past a disabling.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from sessile.engine.maintenance import check_open
from sessile.engine.transitions import confirm_ended, end
from sessile.model.audit import AuditEvent
from sessile.model.errors import InvalidValue, SessionCreationError, SessionLimitReached
from sessile.model.events import REFRESH, Event, EventKind
from sessile.model.limits import ROLES_MAX, USER_ID_LENGTH_MAX
from sessile.model.session import EndReason, Principal, Session
from sessile.ports import Clock, Store, Transaction


class LimitAction(StrEnum):
    EVICT_OLDEST = "evict_oldest"
    REJECT = "reject"


@dataclass(slots=True)  # not frozen: `sessile.runtime.rules` puts what has changed into it
class SessionLimit:
    """How many sessions a user may have at once; 0 is any number. A principal's own `sessions_max` goes before it."""

    sessions_max: int = 0
    action: LimitAction = LimitAction.EVICT_OLDEST

    def of(self, principal: Principal) -> int:
        return self.sessions_max if principal.sessions_max is None else principal.sessions_max


class PrincipalEngine:
    def __init__(self, store: Store, clock: Clock, limit: SessionLimit) -> None:
        self._store = store
        self._clock = clock
        self._limit = limit

    async def get(self, user_id: str) -> Principal | None:
        """None for a user of whom nothing is known yet."""
        return await self._store.read(_get, user_id)

    async def change(
        self,
        user_id: str,
        public: Mapping[str, Any] | None,
        roles: Sequence[str] | None,
        *,
        end_others: bool = False,
        keep: str | None = None,
    ) -> Principal:
        """Sets what is given; all live sessions of the user show it at once. Other roles tell the pages of all sessions to take a new token, and
        with `end_others` end all sessions but `keep` (ASVS 7.4.3). Raises InvalidValue."""
        check_user_id(user_id, required=True)
        check_roles(roles)
        return await self._store.write(self._change, user_id, public, roles, end_others, keep)

    async def limit(self, user_id: str, sessions_max: int | None) -> int:
        """The user's own limit; None is the common one, 0 is any number. Sessions beyond it end, the oldest first; how many did."""
        check_user_id(user_id, required=True)
        if sessions_max is not None and (isinstance(sessions_max, bool) or sessions_max < 0):
            raise InvalidValue(
                "/sessions_max", "a limit is a number from 0 on, where 0 is any number, or nothing at all"
            )
        return await self._store.write(self._set_limit, user_id, sessions_max)

    async def disable(self, user_id: str) -> int:
        """No new session for the user, and all there are end; how many. When this has returned no login gets through."""
        check_user_id(user_id, required=True)
        return await self._store.write(self._disable, user_id)

    async def enable(self, user_id: str) -> None:
        """The user may log in again."""
        check_user_id(user_id, required=True)
        await self._store.write(self._enable, user_id)

    # -- inside a transaction -------------------------------------------------------------------------------------------------------

    def _change(
        self,
        tx: Transaction,
        user_id: str,
        public: Mapping[str, Any] | None,
        roles: Sequence[str] | None,
        end_others: bool,
        keep: str | None,
    ) -> Principal:
        known = tx.sessions.principal(user_id, lock=True) or Principal(user_id)
        changed = replace(
            known,
            public=known.public if public is None else dict(public),
            roles=known.roles if roles is None else tuple(dict.fromkeys(roles)),
        )
        if changed == known:
            return known
        tx.sessions.put_principal(changed)
        now = self._clock.now()
        has_other_roles = changed.roles != known.roles
        data = {"roles": list(changed.roles)} if has_other_roles else {}
        tx.audit([_event(user_id, "principal_changed", now, **data)])
        live = tx.sessions.of_user(user_id, now, lock=True)
        if has_other_roles and end_others:
            end(tx, [session for session in live if session.session_id != keep], EndReason.REVOKED, now)
            live = [session for session in live if session.session_id == keep]
        show(tx, changed, live, refresh=has_other_roles)
        return changed

    def _set_limit(self, tx: Transaction, user_id: str, sessions_max: int | None) -> int:
        known = tx.sessions.principal(user_id, lock=True) or Principal(user_id)
        limited = replace(known, sessions_max=sessions_max)
        tx.sessions.put_principal(limited)
        now = self._clock.now()
        tx.audit([_event(user_id, "principal_limited", now, sessions_max=sessions_max)])
        allowed = self._limit.of(limited)
        live = tx.sessions.of_user(user_id, now, lock=True)
        return end(tx, live[: max(0, len(live) - allowed)] if allowed else [], EndReason.LIMIT, now)

    def _disable(self, tx: Transaction, user_id: str) -> int:
        known = tx.sessions.principal(user_id, lock=True) or Principal(user_id)
        now = self._clock.now()
        if known.disabled_at is None:
            tx.sessions.put_principal(replace(known, disabled_at=now))
            tx.audit([_event(user_id, "principal_disabled", now)])
        confirm_ended(tx, user_id, now)
        return end(tx, tx.sessions.of_user(user_id, now, lock=True), EndReason.ADMIN, now)

    def _enable(self, tx: Transaction, user_id: str) -> None:
        known = tx.sessions.principal(user_id, lock=True)
        if known is not None and known.disabled_at is not None:
            tx.sessions.put_principal(replace(known, disabled_at=None))
            tx.audit([_event(user_id, "principal_enabled", self._clock.now())])


def admit_user(
    tx: Transaction,
    limit: SessionLimit,
    user_id: str,
    public: Mapping[str, Any] | None,
    now: datetime,
    known_as: str | None = None,
) -> Principal:
    """Lets a user in, with the user's row locked and made if need be: for one more session, or again in the session `known_as`, which is the
    user's already. Raises SessionCreationError for a disabled user, SessionLimitReached, MaintenanceUnderway."""
    known = tx.sessions.principal(user_id, lock=True)
    if known is not None and known.disabled_at is not None:
        raise SessionCreationError("This account is disabled.")
    principal = known or Principal(user_id)
    if known_as is None:
        check_open(tx, principal, now)
    live = [session for session in tx.sessions.of_user(user_id, now, lock=True) if session.session_id != known_as]
    allowed = limit.of(principal)
    if known_as is None and allowed and len(live) >= allowed:
        if limit.action is LimitAction.REJECT:
            raise SessionLimitReached(allowed)
        evicted = live[: len(live) - allowed + 1]
        end(tx, evicted, EndReason.LIMIT, now)
        live = live[len(evicted) :]
    if known is None or (public is not None and dict(public) != dict(principal.public)):
        principal = replace(principal, public=dict(public or {}))
        tx.sessions.put_principal(principal)
        show(tx, principal, live)
    return principal


def show(tx: Transaction, principal: Principal, sessions: Sequence[Session], *, refresh: bool = False) -> None:
    """Brings what pages see of the user up to date in these sessions, and tells their sockets; with `refresh` also those that show it already,
    because all of them are to get new tokens."""
    for session in sessions:
        changed = session
        if dict(session.public) != dict(principal.public):
            changed = replace(session, public=dict(principal.public), version=session.version + 1)
            tx.sessions.update(changed)
        if refresh or changed is not session:
            detail = REFRESH if refresh else ""
            tx.emit(Event(EventKind.SESSION_CHANGED, session.session_id, changed.version, detail=detail))


def check_user_id(user_id: object, *, required: bool = False) -> None:
    """Raises InvalidValue for an id that could not be told apart or kept."""
    if user_id is None and not required:
        return
    if not isinstance(user_id, str) or not user_id:
        raise InvalidValue("/user_id", "a user id is a text that is not empty")
    if len(user_id) > USER_ID_LENGTH_MAX:
        raise InvalidValue("/user_id", f"a user id has at most {USER_ID_LENGTH_MAX} characters")
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in user_id):
        raise InvalidValue("/user_id", "a user id has no control characters")


def check_roles(roles: object) -> None:
    """Raises InvalidValue for roles that are no list of short names."""
    if roles is None:
        return
    if not isinstance(roles, Sequence) or isinstance(roles, str) or len(roles) > ROLES_MAX:
        raise InvalidValue("/roles", f"roles are a list of at most {ROLES_MAX} names")
    for index, role in enumerate(roles):
        if not isinstance(role, str) or not role or len(role) > USER_ID_LENGTH_MAX:
            raise InvalidValue(f"/roles/{index}", f"a role is a text of 1 to {USER_ID_LENGTH_MAX} characters")


def _get(tx: Transaction, user_id: str) -> Principal | None:
    return tx.sessions.principal(user_id)


def _event(user_id: str, kind: str, at: datetime, **data: Any) -> AuditEvent:
    return AuditEvent(stream=f"user:{user_id}", type=kind, at=at, user_id=user_id, data=data)
