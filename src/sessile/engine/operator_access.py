"""How operators come into the console: a token that is made on the command line, good once and for minutes, is exchanged for a session of their own.

Each step is an audit event in the stream `system`, in the transaction of what it tells of. A refusal has a transaction of its own, and so has the count of
tries, because both must stay when the try comes to nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from msgspec.structs import replace

from sessile.engine.keys import KeyRing
from sessile.engine.transitions import note_system_anomaly
from sessile.model import token as tokens
from sessile.model.anomaly import Anomaly
from sessile.model.audit import AuditEvent
from sessile.model.errors import AuthenticationRequired, InvalidValue, SessionNotFound, TooManyTries
from sessile.model.limits import LABEL_LENGTH_MAX
from sessile.model.operator_access import CredentialKind, OperatorCredential, OperatorEnd, Right, Role
from sessile.ports import Clock, Random, Store, Transaction

TOKEN_LIFETIME_MAX: Final = timedelta(hours=24)
_ID_BYTES: Final = 10
_NAME: Final = re.compile(r"[\w.@+-]{1,64}")
_TOUCHES_PER_IDLE: Final = 20
"""Activity is written at most so often in one idle timeout."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessRules:
    """`tries_max` sign-ins from one address within `window`; 0 is any number."""

    idle: timedelta
    absolute: timedelta
    tries_max: int
    window: timedelta


@dataclass(frozen=True, slots=True)
class IssuedCredential:
    """A credential together with the text that was just made for it: the only time it is known."""

    credential: OperatorCredential
    token: str = field(repr=False)


class OperatorAccessEngine:
    """Raises AuthenticationRequired with the reason, TooManyTries, InvalidValue, StoreUnavailable."""

    def __init__(self, store: Store, clock: Clock, random: Random, keys: KeyRing, rules: AccessRules) -> None:
        self._store = store
        self._clock = clock
        self._random = random
        self._keys = keys
        self.rules = rules

    async def issue(self, operator: str, role: Role, lifetime: timedelta, made_by: str) -> IssuedCredential:
        """A token for the login page. Raises InvalidValue."""
        if _NAME.fullmatch(operator) is None:
            raise InvalidValue("/name", "has 1 to 64 letters, digits and . _ @ + -")
        if not timedelta(0) < lifetime <= TOKEN_LIFETIME_MAX:
            raise InvalidValue("/for", "is at least a second and at most 24 hours")
        until = self._clock.now() + lifetime
        issued = self._made(CredentialKind.TOKEN, operator, role, until, until, made_by)
        await self._store.write(_put, issued.credential)
        return issued

    async def sign_in(self, token: str, address: str) -> IssuedCredential:
        """Exchanges a token for a session. Whoever has the right secret is told what is wrong with the token; everybody else that it is unknown."""
        await self._count_try(address)
        try:
            credential_id, secret_hash = tokens.opened(token.strip())
        except SessionNotFound:
            credential_id, secret_hash = "", b""
        issued, refused = await self._store.write(
            self._exchange, credential_id, secret_hash, await self._hashed(address)
        )
        if issued is None:
            raise AuthenticationRequired(refused)
        return issued

    async def authenticate(self, token: str, *, is_active: bool) -> OperatorCredential:
        """The session of a cookie. `is_active`: a person did something, which moves the idle deadline."""
        try:
            credential_id, secret_hash = tokens.opened(token)
        except SessionNotFound:
            raise AuthenticationRequired("unknown") from None
        now = self._clock.now()
        credential = await self._store.read(_get, credential_id)
        if (
            credential is None
            or credential.kind is not CredentialKind.SESSION
            or not tokens.hashes_equal(credential.secret_hash, secret_hash)
        ):
            raise AuthenticationRequired("unknown")
        if refusal := credential.refusal(now):
            raise AuthenticationRequired(refusal)
        if is_active and now - credential.seen_at >= self.rules.idle / _TOUCHES_PER_IDLE:
            return await self._store.write(self._touch, credential_id)
        return credential

    async def look(self, credential_id: str) -> str | None:
        """Why this session is not good any more; None while it is."""
        credential = await self._store.read(_get, credential_id)
        return "unknown" if credential is None else credential.refusal(self._clock.now())

    async def end(self, credential_id: str, end: OperatorEnd, by: str, reason: str = "") -> bool:
        """A session or token is not good any more; False when it was not. Raises InvalidValue."""
        if len(reason) > LABEL_LENGTH_MAX or not reason.isprintable():
            raise InvalidValue("/reason", f"is a text of at most {LABEL_LENGTH_MAX} printable characters")
        return await self._store.write(self._end, credential_id, end, by, reason)

    async def credentials(self) -> list[OperatorCredential]:
        """Sessions and tokens that are good."""
        return await self._store.read(_good, self._clock.now())

    async def note_refused(self, credential: OperatorCredential, right: Right, what: str) -> None:
        """Somebody asked for what their role may not do."""
        data = {
            "by": credential.operator,
            "role": str(credential.role),
            "right": str(right),
            "what": what[:LABEL_LENGTH_MAX],
        }
        await self._store.write(_note, _event("operator_refused", self._clock.now(), **data))

    # -- inside ---------------------------------------------------------------------------------------------------------------------

    async def _hashed(self, address: str) -> str:
        """Addresses are told apart, not kept."""
        await self._keys.ready()
        return self._keys.sign("address", address.encode()).hex()[:32]

    async def _count_try(self, address: str) -> None:
        if not self.rules.tries_max:
            return
        if await self._store.write(self._spend, await self._hashed(address)):
            raise TooManyTries(int(self.rules.window.total_seconds()))

    def _spend(self, tx: Transaction, address_hash: str) -> bool:
        now = self._clock.now()
        counted = tx.count(f"operator:{address_hash}", now, self.rules.window)
        if counted == self.rules.tries_max + 1:
            note_system_anomaly(tx, Anomaly.RATE_LIMIT, now, limit="operator_sign_in", subject_hash=address_hash)
        return counted > self.rules.tries_max

    def _made(
        self, kind: CredentialKind, operator: str, role: Role, idle: datetime, absolute: datetime, made_by: str
    ) -> IssuedCredential:
        now = self._clock.now()
        credential_id = tokens.uuid7(now, self._random.token_bytes(_ID_BYTES))
        text = tokens.make(credential_id, self._random.token_bytes(tokens.SECRET_BYTES))
        credential = OperatorCredential(
            credential_id=credential_id,
            kind=kind,
            operator=operator,
            role=role,
            secret_hash=tokens.opened(text)[1],
            created_at=now,
            seen_at=now,
            idle_expires_at=idle,
            absolute_expires_at=absolute,
            made_by=made_by[:LABEL_LENGTH_MAX],
        )
        return IssuedCredential(credential, text)

    def _exchange(
        self, tx: Transaction, credential_id: str, secret_hash: bytes, address_hash: str
    ) -> tuple[IssuedCredential | None, str]:
        now = self._clock.now()
        given = tx.console.credential(credential_id, lock=True) if credential_id else None
        known = (
            given is not None
            and given.kind is CredentialKind.TOKEN
            and tokens.hashes_equal(given.secret_hash, secret_hash)
        )
        refused = "unknown" if given is None or not known else given.refusal(now)
        if given is None or refused is not None:
            by = given.operator if given is not None and known else None
            tx.audit([_event("operator_sign_in_refused", now, by=by, reason=refused, address_hash=address_hash)])
            return None, refused or "unknown"
        tx.console.put_credential(replace(given, ended_at=now, end_reason=str(OperatorEnd.USED)))
        absolute = now + self.rules.absolute
        issued = self._made(
            CredentialKind.SESSION,
            given.operator,
            given.role,
            min(now + self.rules.idle, absolute),
            absolute,
            given.credential_id,
        )
        tx.console.put_credential(issued.credential)
        told = {"by": given.operator, "role": str(given.role), "credential_id": issued.credential.credential_id}
        tx.audit([_event("operator_signed_in", now, **told, address_hash=address_hash)])
        return issued, ""

    def _touch(self, tx: Transaction, credential_id: str) -> OperatorCredential:
        now = self._clock.now()
        credential = tx.console.credential(credential_id, lock=True)
        refusal = "unknown" if credential is None else credential.refusal(now)
        if credential is None or refusal is not None:  # somebody ended it meanwhile
            raise AuthenticationRequired(refusal or "unknown")
        idle = min(now + self.rules.idle, credential.absolute_expires_at)
        touched = replace(credential, seen_at=now, idle_expires_at=idle)
        tx.console.put_credential(touched)
        return touched

    def _end(self, tx: Transaction, credential_id: str, end: OperatorEnd, by: str, reason: str) -> bool:
        now = self._clock.now()
        credential = tx.console.credential(credential_id, lock=True)
        if credential is None or credential.refusal(now) is not None:
            return False
        tx.console.put_credential(replace(credential, ended_at=now, end_reason=str(end)))
        told = {"by": by, "operator": credential.operator, "credential_id": credential_id, "reason": reason}
        kind = "operator_signed_out" if end is OperatorEnd.SIGNED_OUT else "operator_ended"
        tx.audit([_event(kind, now, **told)])
        return True


def _put(tx: Transaction, credential: OperatorCredential) -> None:
    tx.console.put_credential(credential)
    told: dict[str, Any] = {
        "by": credential.made_by,
        "operator": credential.operator,
        "role": str(credential.role),
        "credential_id": credential.credential_id,
    }
    tx.audit([_event("operator_token_made", credential.created_at, **told)])


def _get(tx: Transaction, credential_id: str) -> OperatorCredential | None:
    return tx.console.credential(credential_id)


def _good(tx: Transaction, now: datetime) -> list[OperatorCredential]:
    return tx.console.credentials(now)


def _note(tx: Transaction, event: AuditEvent) -> None:
    tx.audit([event])


def _event(kind: str, at: datetime, **data: Any) -> AuditEvent:
    return AuditEvent(stream="system", type=kind, at=at, data=data)
