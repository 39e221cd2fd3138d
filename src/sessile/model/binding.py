"""A session that is bound to a device: the browser has a key that does not leave it, and shows again and again that it still has it (W3C DBSC).

What a request shows is a second, short-lived cookie. The browser gets the next one only for a signature, so a copy of all cookies is worth something for as
long as that one cookie lives. A binding is *offered* (nothing is stored: the challenge carries it), *pending* once a browser has registered a key, *bound* from
the first refresh on, which shows that the browser keeps its side, and *ended*. Only a bound session asks for the cookie.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import ClassVar, Final

from msgspec.structs import replace

from sessile.model.record import Record

CHALLENGE_LIFETIME_S: Final = 300
COOKIE_TTL_MIN_S: Final = 300
"""A browser renews the cookie when it has less than two minutes left; with less than this it would do little else."""
FIRST_COOKIE_S: Final = 100
"""The first cookie is short, so that the first refresh, which makes the binding count, comes with one of the next requests."""
SPENT_MAX: Final = 8
BINDING_ID_BYTES: Final = 16
NONCE_BYTES: Final = 12
_IDENTIFIER: Final = re.compile(r"([0-9a-f-]{36})\.([A-Za-z0-9_-]{22})", re.ASCII)
_COOKIE: Final = re.compile(r"([1-9][0-9]{0,8})\.([A-Za-z0-9_-]{43})", re.ASCII)
_CHALLENGE_BYTES: Final = NONCE_BYTES + 8 + 32


class BindingState(StrEnum):
    PENDING = "pending"
    """A browser has registered its key, and has not shown yet that it comes back with it. Asks for nothing."""
    BOUND = "bound"
    ENDED = "ended"
    """Given up while the session goes on: never confirmed, or begun anew by a log-in."""


class CookieStanding(StrEnum):
    """What a bound cookie that we made is worth now."""

    CURRENT = "current"
    PREVIOUS = "previous"
    """Replaced a moment ago: what was under way when it was."""
    LATE = "late"
    """Replaced or expired longer ago: a browser would not send it any more. A theft signal."""


class MissingPolicy(StrEnum):
    """What holds for a request of a bound session that does not show its cookie."""

    ALLOW = "allow"
    STEP_UP = "step_up"
    """The user is known, and not fresh: what needs a recent log-in asks for one."""
    DENY = "deny"


class Spent(Record, frozen=True):
    """A challenge that was used: it is not good a second time."""

    nonce: bytes
    issued_at: datetime


class Binding(Record, frozen=True, kw_only=True):
    """Of one session, and stored with it: so it ends with the session, and is found wherever the session is. `generation` counts its cookies."""

    _unshown: ClassVar[tuple[str, ...]] = ("key", "spent")

    binding_id: str
    state: BindingState
    algorithm: str
    key: Mapping[str, str]
    """The public key as a JSON Web Key."""
    registered_at: datetime
    confirmed_at: datetime | None = None
    generation: int = 1
    rotated_at: datetime
    expires_at: datetime
    """When the browser forgets the cookie of this generation."""
    previous_expires_at: datetime | None = None
    seen_at: datetime | None = None
    """When the cookie of this generation was first shown."""
    reused: int = 0
    """The highest generation whose late use has been noted."""
    spent: tuple[Spent, ...] = ()
    floor: datetime
    """Challenges issued at this moment or earlier are not good any more."""

    @property
    def is_live(self) -> bool:
        return self.state is not BindingState.ENDED


@dataclass(frozen=True, slots=True)
class BindingRules:
    """`cookie_ttl`: how long a bound cookie lives. `grace`: how long the one before it is still good."""

    cookie_ttl: timedelta
    grace: timedelta

    @property
    def first_ttl(self) -> timedelta:
        return min(self.cookie_ttl, timedelta(seconds=FIRST_COOKIE_S))


@dataclass(frozen=True, slots=True)
class Challenge:
    """Says by itself for whom and when it was made; `mac` shows that it was us."""

    nonce: bytes
    issued_at: datetime
    mac: bytes

    @property
    def text(self) -> str:
        return _encoded(self.nonce + _micros(self.issued_at).to_bytes(8, "big") + self.mac)

    def signed(self, purpose: str, whose: str) -> bytes:
        return signed_challenge(purpose, whose, self.nonce, self.issued_at)

    def is_timely(self, now: datetime) -> bool:
        """At most five minutes old. A clock a little behind another node's is no reason to refuse."""
        return timedelta(seconds=-60) <= now - self.issued_at <= timedelta(seconds=CHALLENGE_LIFETIME_S)


def signed_challenge(purpose: str, whose: str, nonce: bytes, issued_at: datetime) -> bytes:
    """What the mac of a challenge is over."""
    return f"{purpose}\0{whose}\0{_micros(issued_at)}\0".encode() + nonce


def parse_challenge(text: str) -> Challenge | None:
    """None for what is none of ours."""
    raw = _decoded(text)
    if raw is None or len(raw) != _CHALLENGE_BYTES:
        return None
    micros = int.from_bytes(raw[NONCE_BYTES : NONCE_BYTES + 8], "big")
    if micros > 2**55:
        return None
    issued_at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)
    return Challenge(raw[:NONCE_BYTES], issued_at, raw[NONCE_BYTES + 8 :])


def is_spent(binding: Binding, challenge: Challenge) -> bool:
    """Whether it was used, or is older than what we remember of used ones."""
    return challenge.issued_at <= binding.floor or any(one.nonce == challenge.nonce for one in binding.spent)


def spend(binding: Binding, challenge: Challenge) -> Binding:
    """The binding with this challenge used up. The last few are remembered one by one; what is older is not good in any case."""
    known = sorted((*binding.spent, Spent(challenge.nonce, challenge.issued_at)), key=lambda one: one.issued_at)
    forgotten, kept = known[:-SPENT_MAX], known[-SPENT_MAX:]
    floor = max((binding.floor, *(one.issued_at for one in forgotten)))
    return replace(binding, spent=tuple(kept), floor=floor)


def refreshed(binding: Binding, now: datetime, rules: BindingRules) -> Binding:
    """After a valid proof. A proof that comes within the grace of the last rotation gets the same cookie once more: of two tabs that ask at once one rotates, and
    whichever answer the browser keeps is good."""
    is_first = binding.state is BindingState.PENDING
    confirmed = replace(binding, state=BindingState.BOUND, confirmed_at=binding.confirmed_at or now)
    if not is_first and now < binding.rotated_at + rules.grace:
        return confirmed
    return replace(
        confirmed,
        generation=binding.generation + 1,
        rotated_at=now,
        expires_at=now + rules.cookie_ttl,
        previous_expires_at=binding.expires_at,
        seen_at=None,
    )


def standing_of(binding: Binding, generation: int, now: datetime, rules: BindingRules) -> CookieStanding | None:
    """What the cookie of that generation is worth; None for one that was not made yet. The previous one is good until the grace after the new one was first
    seen, because an answer may be lost; but never longer than it would have lived anyway."""
    if generation > binding.generation:
        return None
    if generation == binding.generation:
        return CookieStanding.CURRENT if now < binding.expires_at + rules.grace else CookieStanding.LATE
    if generation == binding.generation - 1 and binding.previous_expires_at is not None:
        until = binding.previous_expires_at
        if binding.seen_at is not None:
            until = min(until, binding.seen_at)
        if now < until + rules.grace:
            return CookieStanding.PREVIOUS
    return CookieStanding.LATE


def has_lapsed(binding: Binding, now: datetime, rules: BindingRules) -> bool:
    """Whether a pending binding will not be confirmed any more: the browser has lost its first cookie long ago and never asked for another."""
    return binding.state is BindingState.PENDING and now >= binding.expires_at + rules.cookie_ttl


def identifier_of(session_id: str, binding: Binding) -> str:
    """What the browser calls the binding. The handle alone is public; with the rest nobody can ask about a session who was not told."""
    return f"{session_id}.{binding.binding_id}"


def parse_identifier(text: str) -> tuple[str, str] | None:
    """(handle, binding id); None for what is none of ours."""
    match = _IDENTIFIER.fullmatch(text)
    return None if match is None else (match[1], match[2])


def cookie_text(generation: int, mac: bytes) -> str:
    return f"{generation}.{_encoded(mac)}"


def parse_cookie(text: str) -> tuple[int, bytes] | None:
    """(generation, mac); None for what is none of ours."""
    match = _COOKIE.fullmatch(text)
    mac = None if match is None else _decoded(match[2])
    return None if match is None or mac is None else (int(match[1]), mac)


def signed_cookie(identifier: str, generation: int) -> bytes:
    """What the mac of a cookie is over."""
    return f"{identifier}\0{generation}".encode()


def id_text(random_bytes: bytes) -> str:
    return _encoded(random_bytes)


def _encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")


def _decoded(text: str) -> bytes | None:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None


def _micros(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
