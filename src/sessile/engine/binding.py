"""Binding a session to a device: offering, registering a key, giving a new cookie for each proof, and judging the cookie that a request shows.

The binding is a part of the session's row, and every step is made under that row's lock: so of two tabs that refresh at once one rotates, a binding ends with
its session, and nothing of it depends on a cache. Challenges and cookies carry our signature and are in no row; so asking for a challenge writes nothing,
however often somebody asks.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from typing import Final

from msgspec.structs import replace

from sessile.engine.keys import KeyRing
from sessile.engine.logins import live
from sessile.engine.transitions import end, session_event
from sessile.model.binding import (
    BINDING_ID_BYTES,
    CHALLENGE_LIFETIME_S,
    NONCE_BYTES,
    Binding,
    BindingRules,
    BindingState,
    Challenge,
    CookieStanding,
    cookie_text,
    has_lapsed,
    id_text,
    identifier_of,
    is_spent,
    parse_challenge,
    parse_cookie,
    parse_identifier,
    refreshed,
    signed_challenge,
    signed_cookie,
    spend,
    standing_of,
)
from sessile.model.errors import (
    BindingRefused,
    SessionEnded,
    SessionExpired,
    SessionNotFound,
    StoreUnavailable,
)
from sessile.model.proof import Proof, ProofRefused, check_signature, parse_proof
from sessile.model.session import EndReason, Session
from sessile.ports import Clock, Random, Store, Transaction

_logger = logging.getLogger("sessile.binding")
_PURPOSE: Final = "dbsc"
_REGISTRATION, _REFRESH, _AUTHORIZATION, _COOKIE = "registration", "refresh", "authorization", "cookie"
_OVER: Final = (SessionNotFound, SessionEnded, SessionExpired)


class BindingSeen(Enum):
    """What a request shows of the session's binding."""

    NONE = "none"
    """The session is not bound (yet): nothing is asked for."""
    PENDING = "pending"
    """It is not bound yet, and the request shows the cookie of its registration."""
    SHOWN = "shown"
    MISSING = "missing"
    """The session is bound, and the request has no good bound cookie."""

    @property
    def is_shown(self) -> bool:
        """Whether the request has a good bound cookie."""
        return self in (BindingSeen.SHOWN, BindingSeen.PENDING)


@dataclass(frozen=True, slots=True)
class BindingOffer:
    """What a response to a log-in offers: the browser signs `challenge` with a new key, and sends `authorization` along."""

    challenge: str = field(repr=False)
    authorization: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class BoundCookie:
    """A session with its binding, and the cookie that shows it. `identifier` is what the browser calls the binding, `challenge` is for its next proof."""

    session: Session
    identifier: str
    cookie: str = field(repr=False)
    max_age_s: int
    challenge: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Challenged:
    """No new cookie yet: this is to be signed first."""

    identifier: str
    challenge: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class BindingOver:
    """There is nothing to refresh (any more): the browser is to forget it."""

    identifier: str


RefreshOutcome = BoundCookie | Challenged | BindingOver


class BindingEngine:
    """`end_on_late_use`: a bound cookie that is used after its time ends the session."""

    def __init__(
        self, store: Store, clock: Clock, random: Random, keys: KeyRing, rules: BindingRules, *, end_on_late_use: bool
    ) -> None:
        self._store = store
        self._clock = clock
        self._random = random
        self._keys = keys
        self._rules = rules
        self._end_on_late_use = end_on_late_use

    async def offer(self, session: Session) -> BindingOffer | None:
        """What to offer the browser that has just logged in; None for an anonymous session and for one that is bound. Writes nothing."""
        if session.user_id is None or (session.binding is not None and session.binding.is_live):
            return None
        await self._keys.ready()
        mac = self._sign(_AUTHORIZATION, _whose(session).encode())
        challenge = self._challenge(_REGISTRATION, _whose(session))
        return BindingOffer(challenge, f"{session.session_id}.{id_text(mac)}")

    async def register(self, proof_text: str, *, presented: str | None, audience: str) -> BoundCookie:
        """Takes a browser's key for the session that the proof's authorization names. `presented` is the session whose cookie came along, if any did;
        `audience` the address that was asked. Raises BindingRefused without having changed anything."""
        await self._keys.ready()
        try:
            proof = parse_proof(proof_text, with_key=True)
            assert proof.key is not None, "it was asked for"
            check_signature(proof, proof.algorithm, proof.key)
            self._check_claims(proof, audience)
        except ProofRefused as error:
            _logger.info(
                "A registration of a device was refused: %s",
                error,
                extra={"event_name": "binding_registration_refused"},
            )
            raise BindingRefused("proof") from error
        return await self._store.write(self._register, proof, presented)

    async def refresh(self, identifier: str, proof_text: str | None, *, audience: str) -> RefreshOutcome:
        """The next cookie for a valid proof; a challenge without one, or for one that is not good; the end where there is no such binding (any more). Moves no
        deadline of the session: a refresh is nobody's activity. Raises StoreUnavailable."""
        await self._keys.ready()
        named = parse_identifier(identifier)
        if named is None:
            return BindingOver(identifier)
        session = await self._store.read(_get, named[0])
        if session is None or not self._is_bound(session, named[1]):
            return BindingOver(identifier)
        if proof_text is None:
            return self._challenged(identifier)
        try:
            proof = parse_proof(proof_text, with_key=False)
            assert session.binding is not None, "it is bound"
            check_signature(proof, session.binding.algorithm, session.binding.key)
            self._check_claims(proof, audience)
        except ProofRefused as error:
            _logger.warning(
                "A refresh of the device of session %s was refused: %s",
                session.session_id[-8:],
                error,
                extra={"event_name": "binding_refresh_refused"},
            )
            return self._challenged(identifier)
        return await self._store.write(self._refresh, identifier, named, proof)

    async def look(self, session: Session, cookie: str | None) -> BindingSeen:
        """What the bound cookie of a request, or that there is none, says about a session that its token stands for. Notes the first use of a new cookie, late
        uses (once for each cookie) and bindings that were never confirmed; else it asks the store for nothing. Raises SessionEnded where late use
        ends the session."""
        binding = session.binding
        if binding is None or not binding.is_live:
            return BindingSeen.NONE
        now = self._clock.now()
        shown = await self._generation(session, binding, cookie)
        standing = None if shown is None else standing_of(binding, shown, now, self._rules)
        if shown is not None and standing is CookieStanding.LATE and shown > binding.reused:
            await self._note(self._late_use, session.session_id, binding.binding_id, shown)
            if self._end_on_late_use:
                raise SessionEnded(EndReason.THEFT)
        if standing in (CookieStanding.CURRENT, CookieStanding.PREVIOUS):
            if standing is CookieStanding.CURRENT and binding.generation > 1 and binding.seen_at is None:
                await self._note(self._first_use, session.session_id, binding.binding_id, binding.generation)
            return BindingSeen.SHOWN if binding.state is BindingState.BOUND else BindingSeen.PENDING
        if binding.state is BindingState.PENDING:
            if has_lapsed(binding, now, self._rules):
                await self._note(self._lapse, session.session_id, binding.binding_id, 0)
            return BindingSeen.NONE
        return BindingSeen.MISSING

    async def end(self, session_id: str) -> bool:
        """The session goes on without its device, which may be offered anew: after a log-in without it. False when there was none. Raises like `get` of
        a session."""
        return await self._store.write(self._end, session_id)

    # -- inside a transaction -------------------------------------------------------------------------------------------------------------

    def _register(self, tx: Transaction, proof: Proof, presented: str | None) -> BoundCookie:
        now = self._clock.now()
        handle, _, mac = (proof.authorization or "").partition(".")
        try:
            session = live(tx, handle, now)
        except _OVER as error:
            raise BindingRefused("session") from error
        whose = _whose(session)
        if session.user_id is None or not self._is_ours(_AUTHORIZATION, whose.encode(), mac):
            raise BindingRefused("session")
        if presented is not None and presented != session.session_id:
            raise BindingRefused("session")
        earlier = session.binding
        if earlier is not None and earlier.is_live:
            raise BindingRefused("bound")
        challenge = self._valid_challenge(_REGISTRATION, whose, proof.challenge, now)
        if challenge is None or (earlier is not None and is_spent(earlier, challenge)):
            raise BindingRefused("challenge")
        assert proof.key is not None, "a registration brings it"
        binding = Binding(
            binding_id=id_text(self._random.token_bytes(BINDING_ID_BYTES)),
            state=BindingState.PENDING,
            algorithm=proof.algorithm,
            key=proof.key,
            registered_at=now,
            rotated_at=now,
            expires_at=now + self._rules.first_ttl,
            floor=now - timedelta(seconds=CHALLENGE_LIFETIME_S),
        )
        bound = replace(session, binding=binding)
        tx.sessions.update(bound)
        tx.audit([session_event(bound, "device_registered", now, algorithm=binding.algorithm)])
        return self._cookie(bound, binding, now)

    def _refresh(self, tx: Transaction, identifier: str, named: tuple[str, str], proof: Proof) -> RefreshOutcome:
        now = self._clock.now()
        session = tx.sessions.get(named[0], lock=True)
        if session is None or not self._is_bound(session, named[1]):
            return BindingOver(identifier)
        binding = session.binding
        assert binding is not None, "it is bound"
        challenge = self._valid_challenge(_REFRESH, identifier, proof.challenge, now)
        if challenge is None or is_spent(binding, challenge):
            return self._challenged(identifier)
        renewed = refreshed(spend(binding, challenge), now, self._rules)
        bound = replace(session, binding=renewed)
        tx.sessions.update(bound)
        if binding.state is BindingState.PENDING:
            tx.audit([session_event(bound, "device_bound", now)])
        return self._cookie(bound, renewed, now)

    def _first_use(self, tx: Transaction, session_id: str, binding_id: str, generation: int) -> None:
        session, binding = _locked(tx, session_id, binding_id)
        if session is not None and binding is not None and binding.generation == generation and binding.seen_at is None:
            tx.sessions.update(replace(session, binding=replace(binding, seen_at=self._clock.now())))

    def _late_use(self, tx: Transaction, session_id: str, binding_id: str, generation: int) -> None:
        session, binding = _locked(tx, session_id, binding_id)
        if session is None or binding is None or generation <= binding.reused:
            return
        now = self._clock.now()
        noted = replace(session, binding=replace(binding, reused=generation))
        tx.sessions.update(noted)
        facts = {"generation": generation, "current": binding.generation}
        tx.audit([session_event(noted, "device_cookie_reuse", now, **facts)])
        if self._end_on_late_use:
            end(tx, [noted], EndReason.THEFT, now)

    def _lapse(self, tx: Transaction, session_id: str, binding_id: str, _generation: int) -> None:
        session, binding = _locked(tx, session_id, binding_id)
        now = self._clock.now()
        if session is None or binding is None or not has_lapsed(binding, now, self._rules):
            return
        self._give_up(tx, session, binding, "unconfirmed", now)
        _logger.warning(
            "The device of session %s registered and never refreshed: the session is not bound",
            session_id[-8:],
            extra={"event_name": "binding_never_refreshed"},
        )

    def _end(self, tx: Transaction, session_id: str) -> bool:
        now = self._clock.now()
        session = live(tx, session_id, now)
        if session.binding is None or not session.binding.is_live:
            return False
        self._give_up(tx, session, session.binding, "login", now)
        return True

    @staticmethod
    def _give_up(tx: Transaction, session: Session, binding: Binding, reason: str, now: datetime) -> None:
        # What was challenged before this moment registers nothing any more.
        ended = replace(binding, state=BindingState.ENDED, floor=max(binding.floor, now), spent=())
        tx.sessions.update(replace(session, binding=ended))
        tx.audit([session_event(session, "device_unbound", now, reason=reason)])

    # -- inside ---------------------------------------------------------------------------------------------------------------------------

    async def _note(self, work: object, session_id: str, binding_id: str, generation: int) -> None:
        """An outage is no reason to refuse the request that showed it: the next one shows it again."""
        assert callable(work)
        try:
            await self._store.write(work, session_id, binding_id, generation)
        except StoreUnavailable:
            _logger.warning(
                "The store is away: the use of a bound cookie was not noted",
                extra={"event_name": "binding_use_unwritten"},
            )

    async def _generation(self, session: Session, binding: Binding, cookie: str | None) -> int | None:
        """Of a cookie that we made for this binding."""
        parsed = None if cookie is None else parse_cookie(cookie)
        if parsed is None:
            return None
        await self._keys.ready()
        signed = signed_cookie(identifier_of(session.session_id, binding), parsed[0])
        return parsed[0] if self._keys.verify(f"{_PURPOSE}/{_COOKIE}", signed, parsed[1]) else None

    def _cookie(self, session: Session, binding: Binding, now: datetime) -> BoundCookie:
        identifier = identifier_of(session.session_id, binding)
        mac = self._sign(_COOKIE, signed_cookie(identifier, binding.generation))
        until = min(binding.expires_at, session.absolute_expires_at)
        age_s = max(1, int((until - now).total_seconds()))
        challenge = self._challenge(_REFRESH, identifier)
        return BoundCookie(session, identifier, cookie_text(binding.generation, mac), age_s, challenge)

    def _is_bound(self, session: Session, binding_id: str) -> bool:
        now = self._clock.now()
        binding = session.binding
        is_over = session.ended_at is not None or now >= session.expires_at
        return not is_over and binding is not None and binding.is_live and binding.binding_id == binding_id

    def _check_claims(self, proof: Proof, audience: str) -> None:
        """What the specification leaves optional holds where it is said."""
        if proof.audience is not None and proof.audience != audience:
            raise ProofRefused("it is for another address")
        if proof.expires_at_s is not None and self._clock.now().timestamp() >= proof.expires_at_s:
            raise ProofRefused("it has expired")

    def _challenge(self, purpose: str, whose: str) -> str:
        now, nonce = self._clock.now(), self._random.token_bytes(NONCE_BYTES)
        return Challenge(nonce, now, self._sign(_PURPOSE, signed_challenge(purpose, whose, nonce, now))).text

    def _challenged(self, identifier: str) -> Challenged:
        return Challenged(identifier, self._challenge(_REFRESH, identifier))

    def _valid_challenge(self, purpose: str, whose: str, text: str, now: datetime) -> Challenge | None:
        challenge = parse_challenge(text)
        if challenge is None or not challenge.is_timely(now):
            return None
        is_ours = self._keys.verify(f"{_PURPOSE}/{_PURPOSE}", challenge.signed(purpose, whose), challenge.mac)
        return challenge if is_ours else None

    def _sign(self, purpose: str, message: bytes) -> bytes:
        return self._keys.sign(f"{_PURPOSE}/{purpose}", message)

    def _is_ours(self, purpose: str, message: bytes, mac_text: str) -> bool:
        parsed = parse_cookie(f"1.{mac_text}")
        return parsed is not None and self._keys.verify(f"{_PURPOSE}/{purpose}", message, parsed[1])


def _whose(session: Session) -> str:
    return f"{session.session_id}\0{session.user_id or ''}"


def _locked(tx: Transaction, session_id: str, binding_id: str) -> tuple[Session | None, Binding | None]:
    session = tx.sessions.get(session_id, lock=True)
    binding = session.binding if session is not None and session.ended_at is None else None
    return session, binding if binding is not None and binding.is_live and binding.binding_id == binding_id else None


def _get(tx: Transaction, session_id: str) -> Session | None:
    return tx.sessions.get(session_id)
