"""How a session begins, gets a new token, and becomes a user's: what logging in and taking over from another device share.

All of it happens inside a transaction. The user's row is locked before any session's, here and wherever all sessions of a user are looked at.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from sessile.engine.ownership import claim_documents
from sessile.engine.platforms import platform_for
from sessile.engine.principals import SessionLimit, admit_user
from sessile.engine.transitions import end, session_event
from sessile.model import token as tokens
from sessile.model.delta import apply_delta, is_readable
from sessile.model.errors import SessionEnded, SessionExpired, SessionNotFound
from sessile.model.events import Event, EventKind
from sessile.model.expiry import ExpiryPolicy, check_alive
from sessile.model.limits import RETIRED_TOKENS_MAX
from sessile.model.session import EndReason, Issued, RetiredToken, Session
from sessile.ports import Clock, Random, Transaction


@dataclass(slots=True)  # not frozen: `sessile.runtime.rules` puts what has changed into it
class SessionRules:
    """What the engine needs of the settings."""

    expiry: ExpiryPolicy
    limit: SessionLimit = field(default_factory=SessionLimit)
    anonymous_keys_dropped: tuple[str, ...] = ()
    claim_on_login: bool = True
    end_on_late_use: bool = False
    idle_max: timedelta | None = None
    """How far off an application may put an idle deadline by hand; None: as far as the absolute one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """Somebody comes in. `is_proven`: they showed just now who they are; otherwise the session is not fresh and ends by `until` at the latest."""

    user_id: str
    public: Mapping[str, Any] | None = None
    device: Mapping[str, Any] | None = None
    platform_id: str | None = None
    remember: bool = False
    is_proven: bool = True
    until: datetime | None = None
    fingerprint: str | None = None
    provider_session: str | None = None


class Logins:
    def __init__(self, clock: Clock, random: Random, rules: SessionRules) -> None:
        self._clock = clock
        self._random = random
        self._rules = rules

    def new_session(self, user_id: str | None, *, until: datetime | None = None, **facts: Any) -> Issued:
        """A session that is in no row yet."""
        now = self._clock.now()
        session_id = tokens.uuid7(now, self._random.token_bytes(10))
        token = tokens.make(session_id, self._random.token_bytes(tokens.SECRET_BYTES))
        remembered = facts["is_remembered"] = bool(facts.get("is_remembered")) and self._rules.expiry.can_remember
        absolute = self._absolute(now, until, remembered=remembered)
        facts = {"authenticated_at": now if user_id is not None else None, **facts}
        session = Session(
            session_id=session_id,
            user_id=user_id,
            token_hash=tokens.hash_secret(tokens.parse(token)[1]),
            created_at=now,
            last_seen_at=now,
            idle_expires_at=self._rules.expiry.idle_deadline(now, absolute, remembered=remembered),
            absolute_expires_at=absolute,
            **facts,
        )
        return Issued(session, token)

    def with_new_token(self, session: Session, *, principal_changed: bool, authenticated_at: datetime | None) -> Issued:
        """The session with another token; the one it had serves requests in flight for a short window."""
        now = self._clock.now()
        token = tokens.make(session.session_id, self._random.token_bytes(tokens.SECRET_BYTES))
        retired = RetiredToken(session.token_hash, now, principal_changed, session.authenticated_at)
        # A window that has begun to count goes on counting: the next token must not open it again.
        earlier = tuple(
            replace(old, successor_seen_at=old.successor_seen_at or session.token_seen_at)
            for old in session.retired_tokens
        )
        if principal_changed:  # an older token must not see the new login through an earlier rotation's window
            earlier = tuple(replace(old, principal_changed=True) for old in earlier)
        renewed = replace(
            session,
            token_hash=tokens.hash_secret(tokens.parse(token)[1]),
            token_seen_at=None,
            retired_tokens=(retired, *earlier)[:RETIRED_TOKENS_MAX],
            authenticated_at=authenticated_at,
            last_seen_at=now,
            idle_expires_at=self._rules.expiry.idle_deadline_of(session, now),
            version=session.version + 1,
        )
        return Issued(renewed, token)

    def enter(self, tx: Transaction, session_id: str | None, entry: Entry) -> Issued:
        """Anonymous session: same handle, new token, data kept. Same user: rotation. Another user: a new session, the old one `superseded`.
        A session whose data cannot be read ends, and stays as it is: a log-in over it begins a new one."""
        user_id = entry.user_id
        tx.sessions.principal(user_id, lock=True)
        now = self._clock.now()
        begins_on = platform_for(tx, user_id, entry.platform_id, now)
        session = self.usable(tx, session_id)
        known_as = session.session_id if session is not None and session.user_id == user_id else None
        facts = dict(admit_user(tx, self._rules.limit, user_id, entry.public, now, known_as).public)
        authenticated_at = now if entry.is_proven else None
        is_damaged = session is not None and not is_readable(session.data)
        if session is None or is_damaged or (session.user_id is not None and session.user_id != user_id):
            if session is not None:
                if is_damaged:
                    tx.audit([session_event(session, "session_damaged", now)])
                end(tx, [session], EndReason.SUPERSEDED, now)
            issued = self.new_session(
                user_id,
                until=entry.until,
                public=facts,
                device=dict(entry.device or {}),
                platform_id=begins_on,
                is_remembered=entry.remember,
                authenticated_at=authenticated_at,
                fingerprint=entry.fingerprint,
                provider_session=entry.provider_session,
            )
            tx.sessions.insert(issued.session)
            tx.audit([session_event(issued.session, "session_created", now)])
            if session is not None and session.user_id is None and self._rules.claim_on_login:
                claim_documents(tx, replace(session, user_id=user_id), now)
            return issued
        was_anonymous = session.user_id is None
        # Who has proved who they are already stays as fresh as they were when another device brings them in again.
        proved_at = authenticated_at if entry.is_proven or was_anonymous else session.authenticated_at
        issued = self.with_new_token(
            self._clocks_of(session, entry, now), principal_changed=was_anonymous, authenticated_at=proved_at
        )
        logged_in = replace(
            issued.session,
            user_id=user_id,
            platform_id=begins_on if entry.platform_id is not None else session.platform_id or begins_on,
            public=facts,
            device=dict(entry.device or issued.session.device),
            fingerprint=entry.fingerprint or issued.session.fingerprint,
            provider_session=entry.provider_session or issued.session.provider_session,
        )
        tx.sessions.update(logged_in)
        tx.audit([session_event(logged_in, "session_login" if was_anonymous else "session_renewed", now)])
        if was_anonymous and self._rules.claim_on_login:
            claim_documents(tx, logged_in, now)
        tx.emit(Event(EventKind.SESSION_CHANGED, logged_in.session_id, logged_in.version))
        return Issued(logged_in, issued.token)

    def usable(self, tx: Transaction, session_id: str | None) -> Session | None:
        """A session to log into, locked; an unknown or finished one is no obstacle to a login, it just begins anew."""
        if session_id is None:
            return None
        try:
            return live(tx, session_id, self._clock.now())
        except (SessionNotFound, SessionExpired, SessionEnded):
            return None

    def _clocks_of(self, session: Session, entry: Entry, now: datetime) -> Session:
        """A login of an anonymous session, and the first with "keep me logged in", start the absolute clock anew (NIST SP 800-63B-4:
        authentication starts a session)."""
        was_anonymous = session.user_id is None
        wishes = entry.remember and self._rules.expiry.can_remember
        remembered = wishes or (session.is_remembered and not was_anonymous)
        if not was_anonymous and remembered == session.is_remembered:
            return session if entry.until is None or not entry.is_proven else _no_later(session, entry.until)
        return replace(
            session,
            is_remembered=remembered,
            absolute_expires_at=self._absolute(now, entry.until, remembered=remembered),
            data=self._kept_data(session) if was_anonymous else session.data,
        )

    def _absolute(self, now: datetime, until: datetime | None, *, remembered: bool) -> datetime:
        deadline = self._rules.expiry.absolute_deadline(now, remembered=remembered)
        return deadline if until is None else min(deadline, until)

    def _kept_data(self, session: Session) -> bytes:
        dropped = self._rules.anonymous_keys_dropped
        return apply_delta(session.data, [("remove", (key,), None) for key in dropped]) if dropped else session.data


def _no_later(session: Session, until: datetime) -> Session:
    """The same user again, with a provider that says until when: nothing makes the session longer."""
    absolute = min(session.absolute_expires_at, until)
    return replace(session, absolute_expires_at=absolute, idle_expires_at=min(session.idle_expires_at, absolute))


def live(tx: Transaction, session_id: str, now: datetime) -> Session:
    """The session, locked. Raises SessionNotFound, SessionEnded, SessionExpired."""
    session = tx.sessions.get(session_id, lock=True)
    if session is None:
        raise SessionNotFound
    check_alive(session, now)
    return session
