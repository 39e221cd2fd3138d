"""Hand-off: one device shows a code, another one types or scans it, the first one agrees, the other one is logged in.

What the second device gets is a session of its own that is not fresh, and that ends when the first one's would have had to: lending a log-in
on and on never replaces proving who one is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

from sessile.engine.keys import KeyRing
from sessile.engine.logins import Entry, Logins, live
from sessile.engine.transitions import note_system_anomaly, session_event
from sessile.model import token as tokens
from sessile.model.anomaly import Anomaly
from sessile.model.audit import AuditEvent
from sessile.model.errors import (
    AuthenticationRequired,
    HandoffRefused,
    InvalidValue,
    SessionCreationError,
    SessionEnded,
    SessionExpired,
    SessionNotFound,
    TooManyTries,
)
from sessile.model.events import Event, EventKind
from sessile.model.handoff import (
    CODE_BYTES,
    SECRET_BYTES,
    Handoff,
    HandoffStatus,
    Offered,
    Redeemed,
    code_text,
    normalized,
    secret_text,
)
from sessile.model.limits import HANDOFF_LIFETIME_S, HANDOFF_TRIES_MAX, PATH_LENGTH_MAX, RECOVERY_CODE_LIFETIME_S
from sessile.model.session import Issued, Principal, Session
from sessile.ports import Clock, Random, Store, Transaction

LIFETIME: Final = timedelta(seconds=HANDOFF_LIFETIME_S)
RECOVERY_LIFETIME: Final = timedelta(seconds=RECOVERY_CODE_LIFETIME_S)
NO_SESSION: Final = ""
"""Whose hand-off no session offers: an operator does, and has agreed with that."""
_WAITING: Final = (HandoffStatus.OFFERED, HandoffStatus.REDEEMED, HandoffStatus.CONFIRMED)
_OVER: Final = (SessionNotFound, SessionEnded, SessionExpired)


class HandoffEngine:
    """Offer, redeem, confirm, complete. Raises HandoffRefused, and the errors of a session."""

    def __init__(self, store: Store, clock: Clock, random: Random, keys: KeyRing, logins: Logins) -> None:
        self._store = store
        self._clock = clock
        self._random = random
        self._keys = keys
        self._logins = logins

    async def offer(self, session_id: str, path: str) -> Offered:
        """A code for another device, good once and for two minutes; an earlier one of this session is not good any more. `path` is where the
        other device goes on. Raises AuthenticationRequired for an anonymous session, InvalidValue for a path of another site."""
        if len(path) > PATH_LENGTH_MAX or (path and not _is_local(path)):
            raise InvalidValue("/path", "is a path of this site, beginning with one slash")
        await self._keys.ready()
        return await self._store.write(self._offer, session_id, path)

    async def offer_to_user(self, user_id: str) -> Offered:
        """A code with which a user comes back in who has no session any more: good once and for ten minutes; an earlier one is not good any more.
        Nobody is asked when it is redeemed, so whoever gives it out has made sure to whom. No session begins before it is used. Raises InvalidValue
        for a user who never was here, SessionCreationError for one who is shut out."""
        await self._keys.ready()
        return await self._store.write(self._offer_to_user, user_id)

    async def withdraw(self, user_id: str) -> int:
        """What `offer_to_user` gave out and nobody has come in with is not good any more; how many there were."""
        return await self._store.write(self._withdraw, user_id)

    async def status(self, session_id: str, handoff_id: str) -> Handoff:
        """For the session that offered it. A code that nobody used in time is HandoffRefused."""
        return await self._store.read(self._status, session_id, handoff_id)

    async def redeem(self, code: str, device: Mapping[str, Any] | None, address: str) -> Redeemed:
        """Shows whose account it is; the first device is asked. Raises HandoffRefused, and TooManyTries after five wrong codes from one address."""
        await self._keys.ready()
        outcome = await self._store.write(self._redeem, code, dict(device or {}), address)
        if isinstance(outcome, Exception):  # returned, not raised: the try must stay counted
            raise outcome
        return outcome

    async def confirm(self, session_id: str, handoff_id: str, *, accept: bool) -> Handoff:
        """The first device's answer. Raises HandoffRefused when nobody asked, or too late."""
        return await self._store.write(self._confirm, session_id, handoff_id, accept)

    async def complete(
        self, handoff_id: str, claim: str, session_id: str | None, fingerprint: str | None = None
    ) -> tuple[Handoff, Issued | None]:
        """The asking device comes for its session, as often as it likes: None until the first device has agreed. `session_id` is the session it
        has already: an anonymous one becomes the user's. `fingerprint`: of its browser. Raises HandoffRefused, SessionCreationError."""
        await self._keys.ready()
        return await self._store.write(self._complete, handoff_id, claim, session_id, fingerprint)

    # -- inside a transaction -------------------------------------------------------------------------------------------------------

    def _offer(self, tx: Transaction, session_id: str, path: str) -> Offered:
        now = self._clock.now()
        session = live(tx, session_id, now)
        if session.user_id is None:
            raise AuthenticationRequired("anonymous")
        for earlier in tx.handoffs.of_session(session_id, lock=True):
            if earlier.status in (HandoffStatus.OFFERED, HandoffStatus.REDEEMED):
                tx.handoffs.put(replace(earlier, status=HandoffStatus.REFUSED))
        offered = self._made(session_id, session.user_id, path, LIFETIME)
        tx.handoffs.put(offered.handoff)
        tx.audit([_event(offered.handoff, session, "handoff_offered", now)])
        return offered

    def _offer_to_user(self, tx: Transaction, user_id: str) -> Offered:
        principal = tx.sessions.principal(user_id, lock=True)
        if principal is None:
            raise InvalidValue("/user_id", "never had a session here")
        if principal.disabled_at is not None:
            raise SessionCreationError("This account is disabled.")
        self._withdraw(tx, user_id)
        offered = self._made(NO_SESSION, user_id, "", RECOVERY_LIFETIME)
        tx.handoffs.put(offered.handoff)
        tx.audit([_event(offered.handoff, None, "handoff_offered", self._clock.now())])
        return offered

    def _withdraw(self, tx: Transaction, user_id: str) -> int:
        tx.sessions.principal(user_id, lock=True)
        return withdraw_codes(tx, user_id, [NO_SESSION])

    def _made(self, session_id: str, user_id: str, path: str, lifetime: timedelta) -> Offered:
        now = self._clock.now()
        code = code_text(self._random.token_bytes(CODE_BYTES))
        secret = secret_text(self._random.token_bytes(SECRET_BYTES))
        handoff = Handoff(
            handoff_id=tokens.uuid7(now, self._random.token_bytes(10)),
            session_id=session_id,
            user_id=user_id,
            code_hash=self._hash(normalized(code) or ""),
            secret_hash=self._hash(secret),
            path=path,
            created_at=now,
            expires_at=now + lifetime,
        )
        return Offered(handoff, code, secret)

    def _status(self, tx: Transaction, session_id: str, handoff_id: str) -> Handoff:
        handoff = _own(tx, session_id, handoff_id)
        if handoff.status is HandoffStatus.OFFERED and self._clock.now() >= handoff.expires_at:
            raise HandoffRefused("unknown")
        return handoff

    def _redeem(
        self, tx: Transaction, code: str, device: dict[str, Any], address: str
    ) -> Redeemed | HandoffRefused | TooManyTries:
        now = self._clock.now()
        # The address is only told apart, not kept.
        counter = f"handoff:{self._keys.sign('address', address.encode()).hex()[:32]}"
        if tx.counted(counter, now) >= HANDOFF_TRIES_MAX:
            return TooManyTries(HANDOFF_LIFETIME_S)
        seen = self._by_code(tx, code)
        # The session before the hand-off, in the order in which `offer` and `confirm` lock them.
        session = self._origin(tx, seen) if seen is not None else None
        handoff = tx.handoffs.get(seen.handoff_id, lock=True) if seen is not None else None
        is_open = handoff is not None and handoff.status is HandoffStatus.OFFERED and now < handoff.expires_at
        if handoff is None or not is_open or (session is None and handoff.session_id != NO_SESSION):
            if tx.count(counter, now, LIFETIME) == HANDOFF_TRIES_MAX:
                note_system_anomaly(
                    tx, Anomaly.RATE_LIMIT, now, limit="handoff", subject_hash=counter.partition(":")[2]
                )
            return HandoffRefused("unknown")
        claim = secret_text(self._random.token_bytes(SECRET_BYTES))
        redeemed = replace(
            handoff,
            status=HandoffStatus.CONFIRMED if handoff.session_id == NO_SESSION else HandoffStatus.REDEEMED,
            claim_hash=self._hash(claim),
            device=device,
            expires_at=now + LIFETIME,
        )
        tx.handoffs.put(redeemed)
        tx.audit([_event(handoff, session, "handoff_redeemed", now, device=device)])
        self._tell(tx, redeemed)
        principal = tx.sessions.principal(handoff.user_id) or Principal(handoff.user_id)
        return Redeemed(redeemed, claim, dict(principal.public))

    def _by_code(self, tx: Transaction, code: str) -> Handoff | None:
        meant = normalized(code)
        hashes = self._keys.all("handoff", meant.encode()) if meant is not None else []
        found = (tx.handoffs.by_code(code_hash) for code_hash in hashes)
        return next((handoff for handoff in found if handoff is not None), None)

    def _confirm(self, tx: Transaction, session_id: str, handoff_id: str, accept: bool) -> Handoff:
        now = self._clock.now()
        session = live(tx, session_id, now)
        handoff = _own(tx, session_id, handoff_id, lock=True)
        answer = HandoffStatus.CONFIRMED if accept else HandoffStatus.REFUSED
        if handoff.status is answer:
            return handoff
        if handoff.status is not HandoffStatus.REDEEMED or now >= handoff.expires_at:
            raise HandoffRefused("state")
        answered = replace(handoff, status=answer, expires_at=now + LIFETIME)
        tx.handoffs.put(answered)
        tx.audit([session_event(session, f"handoff_{answer}", now, handoff_id=handoff_id)])
        self._tell(tx, answered)
        return answered

    def _complete(
        self, tx: Transaction, handoff_id: str, claim: str, session_id: str | None, fingerprint: str | None
    ) -> tuple[Handoff, Issued | None]:
        now = self._clock.now()
        seen, origin = tx.handoffs.get(handoff_id), None
        if seen is not None:  # the user's row before everything else, and the session before the hand-off
            tx.sessions.principal(seen.user_id, lock=True)
            origin = self._origin(tx, seen)
        handoff = tx.handoffs.get(handoff_id, lock=True)
        if handoff is None or handoff.claim_hash is None or not self._is_claim(handoff, claim):
            raise HandoffRefused("unknown")
        if now >= handoff.expires_at:
            raise HandoffRefused("unknown")
        if handoff.status is HandoffStatus.REDEEMED:
            return handoff, None
        if handoff.status is HandoffStatus.REFUSED:
            raise HandoffRefused("refused")
        if handoff.status is HandoffStatus.COMPLETED:
            return handoff, self._again(tx, handoff)
        if origin is None and handoff.session_id != NO_SESSION:
            raise HandoffRefused("ended")
        entry = Entry(
            user_id=handoff.user_id,
            device=handoff.device or None,
            is_proven=False,
            fingerprint=fingerprint,
        )
        if origin is not None:
            entry = replace(
                entry,
                platform_id=origin.platform_id,
                until=origin.absolute_expires_at,
            )
        issued = self._logins.enter(tx, session_id, entry)
        completed = replace(handoff, status=HandoffStatus.COMPLETED, new_session_id=issued.session.session_id)
        tx.handoffs.put(completed)
        tx.audit([_event(handoff, origin, "handoff_completed", now, new_session_id=issued.session.session_id)])
        self._tell(tx, completed)
        return completed, issued

    def _again(self, tx: Transaction, handoff: Handoff) -> Issued:
        """The answer with the token was lost. While nobody has used it, another one is given instead."""
        session = self._logins.usable(tx, handoff.new_session_id)
        if session is None or session.token_seen_at is not None:
            raise HandoffRefused("unknown")
        issued = self._logins.with_new_token(session, principal_changed=True, authenticated_at=session.authenticated_at)
        tx.sessions.update(issued.session)
        tx.audit([session_event(issued.session, "session_renewed", self._clock.now())])
        return issued

    def _origin(self, tx: Transaction, handoff: Handoff) -> Session | None:
        """The session that offered it, while it is still the user's."""
        session = self._logins.usable(tx, handoff.session_id)
        return session if session is not None and session.user_id == handoff.user_id else None

    def _hash(self, text: str) -> bytes:
        return self._keys.sign("handoff", text.encode())

    def _is_claim(self, handoff: Handoff, claim: str) -> bool:
        return handoff.claim_hash is not None and self._keys.verify("handoff", claim.encode(), handoff.claim_hash)

    @staticmethod
    def _tell(tx: Transaction, handoff: Handoff) -> None:
        if handoff.session_id != NO_SESSION:
            tx.emit(Event(EventKind.HANDOFF_CHANGED, handoff.session_id, detail=handoff.handoff_id))


def withdraw_codes(tx: Transaction, user_id: str, session_ids: Sequence[str]) -> int:
    """What these sessions have offered for the user is not good any more, unless somebody has come in with it; how many there were. The user's row is locked:
    nobody comes in meanwhile."""
    offered = (one for session_id in session_ids for one in tx.handoffs.of_session(session_id))
    waiting = [one for one in offered if one.user_id == user_id and one.status in _WAITING]
    for one in waiting:
        tx.handoffs.put(replace(one, status=HandoffStatus.REFUSED))
        if one.session_id != NO_SESSION:
            tx.emit(Event(EventKind.HANDOFF_CHANGED, one.session_id, detail=one.handoff_id))
    return len(waiting)


def _event(handoff: Handoff, session: Session | None, kind: str, at: datetime, **data: Any) -> AuditEvent:
    """In the chain of the session that offers it, or of the user where none does."""
    data = {"handoff_id": handoff.handoff_id, **data}
    if session is not None:
        return session_event(session, kind, at, **data)
    return AuditEvent(stream=f"user:{handoff.user_id}", type=kind, at=at, user_id=handoff.user_id, data=data)


def _own(tx: Transaction, session_id: str, handoff_id: str, *, lock: bool = False) -> Handoff:
    handoff = tx.handoffs.get(handoff_id, lock=lock)
    if handoff is None or handoff.session_id != session_id:
        raise HandoffRefused("unknown")
    return handoff


def _is_local(path: str) -> bool:
    """One slash at the beginning: `//host` and `/\\host` are other sites to a browser."""
    return path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable()
