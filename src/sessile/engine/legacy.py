"""Moving people in from another session library: their sessions are taken over, and their old credentials are replaced at first use.

A session that was taken over has no token of ours yet; what stands as the hash of its token is derived from the old credential. So the first
use is a rotation like any other, with the same window for requests that are under way, and the same rules for late use.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from sessile.engine.logins import Logins, SessionRules
from sessile.engine.platforms import platform_for
from sessile.engine.principals import check_user_id
from sessile.engine.sessions import SessionEngine
from sessile.engine.transitions import end, session_event
from sessile.model import token as tokens
from sessile.model.audit import AuditEvent
from sessile.model.errors import InvalidValue, SessionNotFound
from sessile.model.expiry import check_alive
from sessile.model.legacy import (
    ARRIVALS_PER_BATCH_MAX,
    Arrival,
    ImportOutcome,
    ImportRun,
    LegacyKind,
    LegacyToken,
    Undone,
    token_hash_of,
)
from sessile.model.limits import SESSION_DATA_BYTES_MAX
from sessile.model.session import EndReason, Principal, Session, Standing
from sessile.ports import Clock, Random, Store, Transaction

KEPT_WITHOUT_EXPIRY: Final = timedelta(days=400)
"""How long the hash of a credential is kept whose session would never have ended: browsers keep no cookie longer (RFC 6265bis section 5.5)."""
_ON_PURPOSE: Final = frozenset({EndReason.REVOKED, EndReason.PASSWORD_CHANGED, EndReason.ADMIN, EndReason.THEFT})


@dataclass(frozen=True, slots=True)
class Import:
    """What the arrivals of one import have in common. `until`: old credentials are accepted before it. `remembered`: with the clocks of "keep me logged in"."""

    run_id: str | None
    source: LegacyKind
    until: datetime
    remembered: bool = False


@dataclass(frozen=True, slots=True)
class Arrived:
    """The session that an old credential leads to, and the token that replaces it; None: a request before this one got it."""

    session: Session
    token: str | None = field(default=None, repr=False)


class LegacyEngine:
    """Import, arrive, undo. Raises SessionNotFound, SessionEnded, SessionExpired for a credential, StoreUnavailable."""

    def __init__(
        self, store: Store, clock: Clock, random: Random, rules: SessionRules, sessions: SessionEngine
    ) -> None:
        self._store = store
        self._clock = clock
        self._random = random
        self._rules = rules
        self._sessions = sessions
        self._logins = Logins(clock, random, rules)

    def new_run_id(self) -> str:
        """Sorts by the time at which the import began."""
        return tokens.uuid7(self._clock.now(), self._random.token_bytes(10))

    async def take_over(self, run: Import, arrivals: Sequence[Arrival]) -> list[ImportOutcome]:
        """Sessions of another library, in one transaction; what became of each. None comes twice. Raises InvalidValue."""
        if len(arrivals) > ARRIVALS_PER_BATCH_MAX:
            raise InvalidValue("/arrivals", f"are at most {ARRIVALS_PER_BATCH_MAX} at once")
        for arrival in arrivals:
            _check(arrival)
        return await self._store.write(self._take_over, run, arrivals)

    async def arrive(self, legacy_hash: bytes, *, can_replace: bool) -> Arrived:
        """The session that an old credential leads to. `can_replace`: a new token can be handed out now, which a socket cannot."""
        token, session = await self._store.read(_look, legacy_hash)
        seen, is_due = self._judged(token, session)
        if seen is not None and not is_due and seen.standing is not Standing.CURRENT:
            return Arrived(seen)
        if seen is None and not is_due:
            assert session is not None, "it was judged"
            await self._sessions.note_late_use(session.session_id)
            raise SessionNotFound
        return await self._store.write(self._arrive, legacy_hash, can_replace)

    async def arrive_signed(self, run: Import, arrival: Arrival, *, can_replace: bool) -> Arrived:
        """The same for a session that its own cookie brings: it begins here with the first of the requests that carry that cookie."""
        _check(arrival)
        try:
            return await self.arrive(arrival.hash, can_replace=can_replace)
        except SessionNotFound:
            if await self._store.read(_is_known, arrival.hash):
                # It is worth nothing any more; or another request has brought it in the meantime, and then it is.
                return await self.arrive(arrival.hash, can_replace=can_replace)
        return await self._store.write(self._arrive_signed, run, arrival, can_replace)

    async def runs(self) -> list[ImportRun]:
        """Imports that can still be undone, the latest first."""
        return await self._store.read(_runs)

    async def undo(self, run_id: str, *, after: bytes, limit: int, with_used: bool) -> Undone:
        """Ends a batch of the sessions that an import brought; those in use since only `with_used`. They can be imported again."""
        return await self._store.write(self._undo, run_id, after, limit, with_used)

    # -- inside a transaction -------------------------------------------------------------------------------------------------------

    def _take_over(self, tx: Transaction, run: Import, arrivals: Sequence[Arrival]) -> list[ImportOutcome]:
        now = self._clock.now()
        known = set(tx.legacy.get_many([arrival.hash for arrival in arrivals]))
        # Locked in one order, so that two imports cannot wait for each other.
        users = sorted({arrival.user_id for arrival in arrivals if arrival.user_id and arrival.hash not in known})
        platforms = {user_id: _admitted(tx, user_id, now) for user_id in users}
        made = dict[bytes, Session]()
        outcomes = list[ImportOutcome]()
        for arrival in arrivals:
            if arrival.hash in known:
                outcomes.append(ImportOutcome.KNOWN)
            elif arrival.expires_at is not None and arrival.expires_at <= now:
                outcomes.append(ImportOutcome.EXPIRED)
            elif arrival.user_id is not None and platforms[arrival.user_id] is None:
                outcomes.append(ImportOutcome.DISABLED)
            else:
                made[arrival.hash] = self._session(run, arrival, platforms.get(arrival.user_id or ""))
                outcomes.append(ImportOutcome.IMPORTED)
            known.add(arrival.hash)
        kept = [self._kept(run, arrival, made[arrival.hash], now) for arrival in arrivals if arrival.hash in made]
        first = tx.legacy.add(list({token.hash: token for token in kept}.values()))
        # Those that another import has brought at the same moment.
        outcomes = [
            ImportOutcome.KNOWN if outcome is ImportOutcome.IMPORTED and arrival.hash not in first else outcome
            for outcome, arrival in zip(outcomes, arrivals, strict=True)
        ]
        sessions = [session for legacy_hash, session in made.items() if legacy_hash in first]
        tx.sessions.insert_many(sessions)
        events = [_moved(session, run, now) for session in sessions]
        imported = outcomes.count(ImportOutcome.IMPORTED)
        if imported:
            told = {"run_id": run.run_id, "source": str(run.source), "sessions": imported}
            events.append(AuditEvent(stream="system", type="sessions_imported", at=now, data=told))
        tx.audit(events)
        return outcomes

    def _arrive(self, tx: Transaction, legacy_hash: bytes, can_replace: bool) -> Arrived:
        token = tx.legacy.get(legacy_hash)
        session = tx.sessions.get(token.session_id, lock=True) if token is not None else None
        token = tx.legacy.get(legacy_hash)  # under the lock: an undoing may have come first
        seen, is_due = self._judged(token, session)
        assert session is not None, "it was judged"
        now = self._clock.now()
        if is_due and can_replace:
            tx.legacy.use(legacy_hash, now)
            issued = self._replaced(session, legacy_hash)
            tx.sessions.update(issued.session)
            tx.audit([session_event(issued.session, "session_renewed", now)])
            return issued
        if seen is None:
            raise SessionNotFound
        tx.legacy.use(legacy_hash, now)
        return Arrived(seen)

    def _arrive_signed(self, tx: Transaction, run: Import, arrival: Arrival, can_replace: bool) -> Arrived:
        now = self._clock.now()
        if now >= run.until or (arrival.expires_at is not None and arrival.expires_at <= now):
            raise SessionNotFound
        platform: str | None = ""
        if arrival.user_id is not None:
            platform = _admitted(tx, arrival.user_id, now)
            if platform is None or _was_revoked(tx, arrival.user_id, arrival.signed_at):
                raise SessionNotFound
        session = self._session(run, arrival, platform)
        if not tx.legacy.add([replace(self._kept(run, arrival, session, now), used_at=now)]):
            return self._arrive(tx, arrival.hash, can_replace)  # another request brought it at the same moment
        arrived = self._replaced(session, arrival.hash) if can_replace else Arrived(session)
        tx.sessions.insert(arrived.session)
        tx.audit([_moved(arrived.session, run, now)])
        return arrived

    def _undo(self, tx: Transaction, run_id: str, after: bytes, limit: int, with_used: bool) -> Undone:
        now = self._clock.now()
        batch = tx.legacy.of_run(run_id, after=after, limit=limit)
        sessions = tx.sessions.get_many([token.session_id for token in batch], lock=True)
        under_lock = tx.legacy.get_many([token.hash for token in batch])
        kept, over, undone = 0, list[Session](), list[bytes]()
        for token in under_lock.values():
            session = sessions.get(token.session_id)
            if session is not None and session.ended_at is None:
                is_used = token.used_at is not None or session.last_seen_at > session.created_at
                if is_used and not with_used:
                    kept += 1
                    continue
                over.append(session)
            elif not with_used:
                continue  # somebody ended it: the old credential must not bring it back with the next import
            undone.append(token.hash)
        tx.legacy.delete(undone)
        ended = end(tx, over, EndReason.MAINTENANCE, now)
        if ended:
            told = {"run_id": run_id, "ended": ended, "kept": kept}
            tx.audit([AuditEvent(stream="system", type="import_undone", at=now, data=told)])
        return Undone(ended=ended, kept=kept, after=batch[-1].hash if len(batch) == limit else None)

    # -- what a credential is worth ---------------------------------------------------------------------------------------------------

    def _judged(self, token: LegacyToken | None, session: Session | None) -> tuple[Session | None, bool]:
        """The session as the credential shows it, None when its window is over; and whether a new token is due for it."""
        if token is None or session is None:
            raise SessionNotFound
        now = self._clock.now()
        check_alive(session, now)
        own = token_hash_of(token.hash)
        seen = self._sessions.seen_with(session, own)
        is_accepted = now < token.expires_at
        if seen is not None and seen.standing is Standing.CURRENT:
            if not is_accepted:
                raise SessionNotFound
            return seen, True
        return seen, is_accepted and self._is_lost(session, own, now)

    def _is_lost(self, session: Session, own: bytes, now: datetime) -> bool:
        """Whether nobody has used what replaced the credential: then the answer that carried it was lost, and there is another one. Not within
        the window: requests that are under way at once must not take each other's token away."""
        retired = next((old for old in session.retired_tokens if tokens.hashes_equal(old.token_hash, own)), None)
        if retired is None or retired.principal_changed or retired.successor_seen_at or session.token_seen_at:
            return False
        last = max(old.retired_at for old in session.retired_tokens)
        return now >= last + self._rules.expiry.rotation_window

    def _replaced(self, session: Session, legacy_hash: bytes) -> Arrived:
        own = token_hash_of(legacy_hash)
        # Of tokens that got lost only the last one is remembered: the old credential must stay among them.
        kept = tuple(old for old in session.retired_tokens if tokens.hashes_equal(old.token_hash, own))
        session = replace(session, retired_tokens=kept)
        issued = self._logins.with_new_token(
            session, principal_changed=False, authenticated_at=session.authenticated_at
        )
        return Arrived(issued.session, issued.token)

    def _session(self, run: Import, arrival: Arrival, platform: str | None) -> Session:
        """Nobody has proved who they are just now, so it is not fresh; it ends when it would have ended there, and never later than one of ours."""
        issued = self._logins.new_session(
            arrival.user_id,
            until=arrival.expires_at,
            data=arrival.data,
            platform_id=platform or None,
            is_remembered=run.remembered,
            authenticated_at=None,
        )
        return replace(issued.session, token_hash=token_hash_of(arrival.hash))

    def _kept(self, run: Import, arrival: Arrival, session: Session, now: datetime) -> LegacyToken:
        until = run.until if arrival.expires_at is None else min(run.until, arrival.expires_at)
        return LegacyToken(
            hash=arrival.hash,
            session_id=session.session_id,
            source=run.source,
            run_id=run.run_id,
            expires_at=until,
            kept_until=max(until, arrival.expires_at or now + KEPT_WITHOUT_EXPIRY),
        )


def _check(arrival: Arrival) -> None:
    check_user_id(arrival.user_id)
    if len(arrival.data) > SESSION_DATA_BYTES_MAX:
        raise InvalidValue("/data", f"is longer than {SESSION_DATA_BYTES_MAX} bytes")


def _admitted(tx: Transaction, user_id: str, now: datetime) -> str | None:
    """The platform on which the user begins, or an empty text; None for a disabled user. The user's row is locked, and made if need be. A limit of sessions
    waits for the next login: who is logged in stays so."""
    known = tx.sessions.principal(user_id, lock=True)
    if known is not None and known.disabled_at is not None:
        return None
    if known is None:  # then nobody has mirrored platforms of theirs, either
        tx.sessions.put_principal(Principal(user_id))
        return ""
    return platform_for(tx, user_id, None, now) or ""


def _was_revoked(tx: Transaction, user_id: str, signed_at: datetime | None) -> bool:
    """Whether the user's sessions were ended on purpose after the cookie was signed: a cookie that had not arrived by then was meant, too."""
    return signed_at is not None and any(
        one.end_reason in _ON_PURPOSE for one in tx.sessions.ended_since(user_id, signed_at)
    )


def _moved(session: Session, run: Import, now: datetime) -> AuditEvent:
    return session_event(session, "session_imported", now, source=str(run.source), run_id=run.run_id)


def _look(tx: Transaction, legacy_hash: bytes) -> tuple[LegacyToken | None, Session | None]:
    token = tx.legacy.get(legacy_hash)
    return token, tx.sessions.get(token.session_id) if token is not None else None


def _is_known(tx: Transaction, legacy_hash: bytes) -> bool:
    return tx.legacy.get(legacy_hash) is not None


def _runs(tx: Transaction) -> list[ImportRun]:
    return tx.legacy.runs()
