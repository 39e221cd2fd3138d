"""The verbs of a session. Each is one transaction; reads write nothing; every transition leaves one audit event."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from msgspec.structs import replace

from sessile.engine.handoff import NO_SESSION, withdraw_codes
from sessile.engine.logins import Entry, Logins, SessionRules, live
from sessile.engine.platforms import platform_for
from sessile.engine.principals import admit_user, check_user_id
from sessile.engine.transitions import confirm_ended, end, note_anomaly, note_system_anomaly, session_event
from sessile.model import token as tokens
from sessile.model.anomaly import Anomaly
from sessile.model.delta import DataOperation, apply_delta, is_readable
from sessile.model.errors import (
    AuthenticationRequired,
    InvalidValue,
    SessileError,
    SessionDamaged,
    SessionNotFound,
    SessionUpdateError,
)
from sessile.model.events import Event, EventKind
from sessile.model.expiry import ExpiryPolicy, check_alive
from sessile.model.session import EndReason, Issued, Session, Standing
from sessile.ports import Clock, Random, SessionReader, Store, Transaction


@dataclass(frozen=True, slots=True)
class DataChange:
    """A delta of a session's data, made under `user_id`."""

    session_id: str
    operations: Sequence[DataOperation]
    user_id: str | None


class StoredSessions:
    """Sessions straight from the store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def get(self, session_id: str) -> Session | None:
        """As it was committed last. Raises StoreUnavailable."""
        return await self._store.read(_get, session_id)


class SessionEngine:
    """Create, authenticate, read, touch, change, rotate, login, end, list, sweep. Raises the errors of `sessile.model.errors`."""

    def __init__(
        self, store: Store, clock: Clock, random: Random, rules: SessionRules, reader: SessionReader | None = None
    ) -> None:
        self._store = store
        self._reader = reader or StoredSessions(store)
        self._clock = clock
        self._rules = rules
        self._logins = Logins(clock, random, rules)

    async def create(
        self,
        user_id: str | None,
        *,
        data: bytes = b"{}",
        public: Mapping[str, Any] | None = None,
        device: Mapping[str, Any] | None = None,
        platform_id: str | None = None,
    ) -> Issued:
        """Begins on the platform that is named, else on the user's default. Raises SessionCreationError, PlatformRefused, InvalidValue."""
        check_user_id(user_id)
        return await self._store.write(self._create, user_id, data, public, device, platform_id)

    async def authenticate(self, token: str) -> Session:
        """The session a token stands for. Raises SessionNotFound, SessionExpired, SessionEnded, StoreUnavailable. Writes nothing,
        unless a retired token is used after its window: that is a theft signal and is audited."""
        session_id, secret_hash = tokens.opened(token)
        session = await self._reader.get(session_id)
        if session is not None and session.ended_at is None and hmac.compare_digest(session.token_hash, secret_hash):
            now = self._clock.now()
            if now < session.idle_expires_at and now < session.absolute_expires_at:
                return session  # as nearly always; everything below is for the other cases
        session = await self._doubted(session, session_id)
        if not tokens.hashes_equal(session.token_hash, secret_hash):
            # Nobody is refused on the word of a cache, nor let in with a token that is not the current one.
            session = await self._stored(session_id)
        seen = self._standing(session, secret_hash)
        if seen is None:
            if any(tokens.hashes_equal(retired.token_hash, secret_hash) for retired in session.retired_tokens):
                await self.note_late_use(session_id)
            raise SessionNotFound
        check_alive(session, self._clock.now())
        return seen

    async def get(self, session_id: str) -> Session:
        """By handle. Raises like `authenticate`."""
        session = await self._current(session_id)
        check_alive(session, self._clock.now())
        return session

    async def _current(self, session_id: str) -> Session:
        return await self._doubted(await self._reader.get(session_id), session_id)

    async def _doubted(self, session: Session | None, session_id: str) -> Session:
        """What was read, or what the store says where the reader may not know of the last activity. Raises SessionNotFound."""
        if session is None:
            raise SessionNotFound
        if session.ended_at is None and self._clock.now() >= session.expires_at:
            return await self._stored(session_id)
        return session

    async def _stored(self, session_id: str) -> Session:
        session = await self._store.read(_get, session_id)
        if session is None:
            raise SessionNotFound
        return session

    def seen_with(self, session: Session, secret_hash: bytes) -> Session | None:
        """The session as whoever has the secret of that hash may see it now; None: not at all (any more)."""
        return self._standing(session, secret_hash)

    async def note_late_use(self, session_id: str) -> None:
        """Somebody used a credential of the session after its window: a theft signal, audited once."""
        await self._store.write(self._late_use, session_id)

    def touched(self, session: Session) -> Session | None:
        """The record as activity now would leave it, or None when there is nothing worth writing."""
        now = self._clock.now()
        expiry = self._rules.expiry
        if session.standing is not Standing.CURRENT or not expiry.touch_is_due(session, now):
            return None
        if now >= session.idle_expires_at:  # it expired under a slow request, whose end must not revive it
            return None
        deadline = expiry.idle_deadline_of(session, now)
        return replace(session, last_seen_at=now, idle_expires_at=deadline, token_seen_at=session.token_seen_at or now)

    async def touch(self, seen: Sequence[Session]) -> None:
        """Writes a batch of `touched` records."""
        await self._store.write(_touch, seen)

    async def change_data(self, session_id: str, operations: Sequence[DataOperation], user_id: str | None) -> Session:
        """Applies a delta to whatever stands there now. A delta made under another user is dropped, audited, and raises SessionUpdateError."""
        (outcome,) = await self.change_data_of([DataChange(session_id, operations, user_id)])
        if isinstance(outcome, SessileError):
            raise outcome
        return outcome

    async def change_data_of(self, changes: Sequence[DataChange]) -> list[Session | SessileError]:
        """The same for several, in one transaction and in their order: what became of each, or why it was refused."""
        return await self._store.write(self._change_data_of, changes)

    async def rotate(self, session_id: str) -> Issued:
        """A new token for the same principal. The old one serves requests in flight for a short window."""
        return await self._store.write(self._rotate, session_id)

    async def refresh(self, session_id: str) -> tuple[Session, str | None]:
        """The session, with a new token unless it got one within the rotation window: all tabs of a browser may ask at once, and none of them
        takes the token away that another has just been given. Raises like `get`."""
        return await self._store.write(self._refresh, session_id)

    async def login(
        self,
        session_id: str | None,
        user_id: str,
        *,
        public: Mapping[str, Any] | None = None,
        device: Mapping[str, Any] | None = None,
        platform_id: str | None = None,
        remember: bool = False,
        until: datetime | None = None,
        provider_session: str | None = None,
        fingerprint: str | None = None,
    ) -> Issued:
        """Anonymous session: same handle, new token, data kept. Same user: rotation. Another user: a new session, the old one `superseded`.
        A platform that is named is taken, else the user's default; the same user stays where they were. `remember` gives the longer clock; `until` ends
        it earlier. `provider_session` is how an identity provider names its session, for `end_of_provider`; `fingerprint` a hash of what the browser says.
        Raises PlatformRefused, SessionCreationError, MaintenanceUnderway."""
        check_user_id(user_id, required=True)
        entry = Entry(
            user_id=user_id, public=public, device=device, platform_id=platform_id, remember=remember, until=until,
            fingerprint=fingerprint, provider_session=_provider_hash(provider_session),
        )  # fmt: skip
        return await self._store.write(self._logins.enter, session_id, entry)

    async def extend(self, session_id: str) -> Session:
        """Moves the idle deadline as activity does, at once and in the row. Nothing moves the absolute one. Raises like `get`."""
        return await self._store.write(self._extend, session_id)

    async def set_idle_deadline(self, session_id: str, deadline: datetime) -> Session:
        """Puts the idle deadline there, sooner or later than it was, but not behind the absolute one. Activity moves it on as ever, so whoever
        wants another idle timeout for one session sets it with each. Raises like `get`."""
        return await self._store.write(self._set_idle_deadline, session_id, deadline)

    async def credentials_changed(self, session_id: str) -> tuple[Issued, int]:
        """After another password or factor: ends the user's other sessions, withdraws hand-off codes, and this one gets a new token (ASVS 7.4.3); how many ended. Raises
        AuthenticationRequired for an anonymous session, and like `get`."""
        return await self._store.write(self._credentials_changed, session_id)

    async def end(self, session_id: str, reason: EndReason) -> bool:
        """True when this call ended it, False when it was unknown or over already. When it has returned, no later read accepts the session."""
        return await self._store.write(self._end_one, session_id, reason)

    async def end_of_user(self, user_id: str, keep: str | None, reason: EndReason) -> int:
        """Ends all sessions of a user but `keep`; how many. The principal's lock keeps a login from slipping through."""
        return await self._store.write(self._end_of_user, user_id, keep, reason)

    async def end_of_provider(self, provider_session: str, reason: EndReason) -> int:
        """Ends the sessions that were begun with this session of an identity provider; how many."""
        return await self._store.write(self._end_of_provider, _provider_hash(provider_session), reason)

    async def note(self, session_id: str | None, anomaly: Anomaly, data: Mapping[str, Any]) -> None:
        """Audits something odd about a session (None: about none), and tells who listens. Nothing for one that is unknown."""
        await self._store.write(self._note, session_id, anomaly, data)

    async def of_user(self, user_id: str, after: str | None = None, limit: int | None = None) -> list[Session]:
        """Live ones, oldest first; a page of them. Raises InvalidValue."""
        if limit is not None and limit < 1:
            raise InvalidValue("/limit", "is at least 1")
        return await self._store.read(_of_user, user_id, self._clock.now(), after or "", limit)

    async def sweep(self, batch: int) -> int:
        """Ends at most `batch` sessions that are past a deadline; how many."""
        return await self._store.write(self._sweep, batch)

    # -- inside a transaction -------------------------------------------------------------------------------------------------------

    def _create(
        self,
        tx: Transaction,
        user_id: str | None,
        data: bytes,
        public: Mapping[str, Any] | None,
        device: Mapping[str, Any] | None,
        platform_id: str | None,
    ) -> Issued:
        now = self._clock.now()
        facts = dict(public or {})
        if user_id is not None:
            facts = dict(admit_user(tx, self._rules.limit, user_id, public, now).public)
        platform_id = platform_for(tx, user_id, platform_id, now)
        issued = self._logins.new_session(
            user_id, data=data, public=facts, device=dict(device or {}), platform_id=platform_id
        )
        tx.sessions.insert(issued.session)
        tx.audit([session_event(issued.session, "session_created", now)])
        return issued

    def _standing(self, session: Session, secret_hash: bytes) -> Session | None:
        if tokens.hashes_equal(session.token_hash, secret_hash):
            return session
        for retired in session.retired_tokens:
            if not tokens.hashes_equal(retired.token_hash, secret_hash):
                continue
            if not self._rules.expiry.window_is_open(session, retired, self._clock.now()):
                return None
            if retired.principal_changed:
                return replace(
                    session, user_id=None, platform_id=None, device_id=None, public={}, data=b"{}", authenticated_at=None,
                    binding=None, standing=Standing.SUPERSEDED,
                )  # fmt: skip
            return replace(session, authenticated_at=retired.authenticated_at, standing=Standing.ROTATED)
        return None

    def _late_use(self, tx: Transaction, session_id: str) -> None:
        session = tx.sessions.get(session_id, lock=True)
        if session is None:
            return
        now = self._clock.now()
        # Forgetting the lapsed tokens makes this one event, not one for every request that a thief sends.
        kept = tuple(t for t in session.retired_tokens if self._rules.expiry.window_is_open(session, t, now))
        if len(kept) == len(session.retired_tokens):
            return
        session = replace(session, retired_tokens=kept)
        tx.sessions.update(session)
        note_anomaly(tx, session, Anomaly.TOKEN_REUSE, now)
        if self._rules.end_on_late_use and session.ended_at is None:
            end(tx, [session], EndReason.THEFT, now)

    def _change_data_of(self, tx: Transaction, changes: Sequence[DataChange]) -> list[Session | SessileError]:
        now = self._clock.now()
        sessions = tx.sessions.get_many([change.session_id for change in changes], lock=True)
        changed: dict[str, Session] = {}
        outcomes: list[Session | SessileError] = []
        for change in changes:
            try:
                session = _changed(tx, sessions.get(change.session_id), change, now)
            except SessileError as error:
                outcomes.append(error)
            else:
                sessions[session.session_id] = changed[session.session_id] = session
                outcomes.append(session)
        tx.sessions.update_many(list(changed.values()))
        return outcomes

    def _rotate(self, tx: Transaction, session_id: str) -> Issued:
        return self._renewed(tx, live(tx, session_id, self._clock.now()))

    def _refresh(self, tx: Transaction, session_id: str) -> tuple[Session, str | None]:
        session = live(tx, session_id, self._clock.now())
        last = max((retired.retired_at for retired in session.retired_tokens), default=None)
        if last is not None and self._clock.now() < last + self._rules.expiry.rotation_window:
            return session, None
        issued = self._renewed(tx, session)
        return issued.session, issued.token

    def _extend(self, tx: Transaction, session_id: str) -> Session:
        now = self._clock.now()
        session = live(tx, session_id, now)
        deadline = max(session.idle_expires_at, self._rules.expiry.idle_deadline_of(session, now))
        extended = replace(session, last_seen_at=now, idle_expires_at=deadline, version=session.version + 1)
        tx.sessions.update(extended)
        tx.audit([session_event(extended, "session_extended", now)])
        tx.emit(Event(EventKind.SESSION_CHANGED, session_id, extended.version))
        return extended

    def _set_idle_deadline(self, tx: Transaction, session_id: str, deadline: datetime) -> Session:
        now = self._clock.now()
        session = live(tx, session_id, now)
        if self._rules.idle_max is not None:
            deadline = min(deadline, now + self._rules.idle_max)
        moved = replace(
            session,
            last_seen_at=now,
            idle_expires_at=min(deadline, session.absolute_expires_at),
            token_seen_at=session.token_seen_at or now,
            version=session.version + 1,
        )
        tx.sessions.update(moved)
        tx.emit(Event(EventKind.SESSION_CHANGED, session_id, moved.version))
        return moved

    def _credentials_changed(self, tx: Transaction, session_id: str) -> tuple[Issued, int]:
        now = self._clock.now()
        seen = tx.sessions.get(session_id)
        if seen is not None and seen.user_id is not None:
            tx.sessions.principal(seen.user_id, lock=True)
        session = live(tx, session_id, now)
        if session.user_id is None or seen is None or session.user_id != seen.user_id:
            raise AuthenticationRequired("anonymous")
        others = [s for s in tx.sessions.of_user(session.user_id, now, lock=True) if s.session_id != session_id]
        confirm_ended(tx, session.user_id, now)
        ended = end(tx, others, EndReason.PASSWORD_CHANGED, now)
        # A code that whoever knew the old password has asked for would let them in after all.
        withdraw_codes(tx, session.user_id, [session_id, *(other.session_id for other in others), NO_SESSION])
        issued = self._renewed(tx, session)
        return issued, ended

    def _renewed(self, tx: Transaction, session: Session) -> Issued:
        issued = self._logins.with_new_token(
            session, principal_changed=False, authenticated_at=session.authenticated_at
        )
        tx.sessions.update(issued.session)
        tx.audit([session_event(issued.session, "session_renewed", self._clock.now())])
        return issued

    def _end_one(self, tx: Transaction, session_id: str, reason: EndReason) -> bool:
        session = tx.sessions.get(session_id, lock=True)
        if session is None or session.ended_at is not None:
            tx.sessions.confirm([session] if session is not None else [])
            return False
        end(tx, [session], reason, self._clock.now())
        return True

    def _end_of_user(self, tx: Transaction, user_id: str, keep: str | None, reason: EndReason) -> int:
        tx.sessions.principal(user_id, lock=True)
        now = self._clock.now()
        live = tx.sessions.of_user(user_id, now, lock=True)
        confirm_ended(tx, user_id, now)
        return end(tx, [session for session in live if session.session_id != keep], reason, now)

    def _end_of_provider(self, tx: Transaction, provider_hash: str, reason: EndReason) -> int:
        now = self._clock.now()
        live = tx.sessions.of_provider(provider_hash, now)
        tx.sessions.confirm([])
        return end(tx, live, reason, now)

    def _note(self, tx: Transaction, session_id: str | None, anomaly: Anomaly, data: Mapping[str, Any]) -> None:
        if session_id is None:
            note_system_anomaly(tx, anomaly, self._clock.now(), **data)
            return
        session = tx.sessions.get(session_id, lock=True)
        if session is not None:
            note_anomaly(tx, session, anomaly, self._clock.now(), **data)

    def _sweep(self, tx: Transaction, batch: int) -> int:
        now = self._clock.now()
        return end(tx, tx.sessions.expired(now, batch), EndReason.EXPIRED, now)


def _changed(tx: Transaction, session: Session | None, change: DataChange, now: datetime) -> Session:
    if session is None:
        raise SessionNotFound
    check_alive(session, now)
    if session.user_id != change.user_id:
        tx.audit([session_event(session, "session_delta_dropped", now)])
        raise SessionUpdateError("The session belongs to another user by now; the change was dropped.")
    try:
        data = apply_delta(session.data, change.operations)
    except InvalidValue:
        if is_readable(session.data):
            raise
        raise SessionDamaged(session.session_id) from None
    return replace(session, data=data, version=session.version + 1)


def _provider_hash(provider_session: str | None) -> Any:
    """Whatever a provider calls its sessions, the row has 64 characters. Raises InvalidValue for a name that is empty."""
    if provider_session is None:
        return None
    if not provider_session:
        raise InvalidValue("/provider_session", "a session of a provider is a text that is not empty")
    return hashlib.sha256(provider_session.encode()).hexdigest()


def _get(tx: Transaction, session_id: str) -> Session | None:
    return tx.sessions.get(session_id)


def _touch(tx: Transaction, seen: Sequence[Session]) -> None:
    tx.sessions.touch(seen)


def _of_user(tx: Transaction, user_id: str, now: datetime, after: str, limit: int | None) -> list[Session]:
    return tx.sessions.of_user(user_id, now, after=after, limit=limit)


def expiry_policy(
    idle_timeout_s: float, absolute_timeout_s: float, rotation_window_s: float, remember_timeout_s: float = 30 * 86400
) -> ExpiryPolicy:
    return ExpiryPolicy(
        timedelta(seconds=idle_timeout_s),
        timedelta(seconds=absolute_timeout_s),
        timedelta(seconds=rotation_window_s),
        timedelta(seconds=remember_timeout_s),
    )
