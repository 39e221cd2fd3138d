"""Sessions that are their own cookies: Flask's, Starlette's, and Django's `signed_cookies`. They cannot be listed, so they are read when they
arrive, with the old secret. The libraries that signed them check the signature; what is inside is unpacked here, within bounds.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sessile.model.errors import ConfigurationError
from sessile.model.legacy import LEGACY_COOKIE_BYTES_MAX, LegacyKind, hash_legacy
from sessile.moving.payload import PayloadRefused, check_no_pickle, from_base64, inflated, untagged

MAX_AGES: Final[Mapping[LegacyKind, timedelta]] = {
    LegacyKind.FLASK_COOKIE: timedelta(days=31),
    LegacyKind.STARLETTE_COOKIE: timedelta(days=14),
    LegacyKind.DJANGO_COOKIE: timedelta(days=14),
}
"""How long each library lets a cookie live unless it is told: PERMANENT_SESSION_LIFETIME, max_age, SESSION_COOKIE_AGE."""
SKEW: Final = timedelta(minutes=1)
DJANGO_COOKIE_SALT: Final = "django.contrib.sessions.backends.signed_cookies"
DJANGO_STORE_SALT: Final = "django.contrib.sessions.SessionStore"
_UNSIGNED: Final = "its signature was not made with one of these secrets"


@dataclass(frozen=True, slots=True)
class Unsigned:
    """What a signed text holds. `hash` is of what was signed: a signature can be written in several ways, the text in one."""

    hash: bytes
    payload: bytes
    signed_at: datetime


@dataclass(frozen=True, slots=True)
class SignedSession:
    hash: bytes
    values: Mapping[Any, Any]
    signed_at: datetime
    expires_at: datetime


class SignedCookies:
    """Reads cookies of one kind that were signed with one of `secrets`, the present one first. Raises ConfigurationError when the library that
    signed them is not installed, or there is no secret."""

    def __init__(self, kind: LegacyKind, secrets: Sequence[str], max_age: timedelta | None = None) -> None:
        if not secrets or not all(secrets):
            raise ConfigurationError(
                f"SESSILE_LEGACY_SECRETS: {kind} cookies are read with the secret that signed them"
            )
        self._kind = kind
        self._max_age = max_age or MAX_AGES[kind]
        self._unsign = _READERS[kind](secrets)

    def read(self, cookie: str, now: datetime) -> SignedSession:
        """Raises PayloadRefused: for another's signature, for one that is too old, for what is no mapping."""
        if len(cookie) > LEGACY_COOKIE_BYTES_MAX or not cookie.isascii():
            raise PayloadRefused("signature", "it is no cookie that a browser would keep")
        unsigned = self._unsign(cookie)
        expires_at = unsigned.signed_at + self._max_age
        if not unsigned.signed_at - SKEW <= now < expires_at:
            raise PayloadRefused("expired", "it was signed too long ago, or in the future")
        values = from_json(unsigned.payload)
        if self._kind is LegacyKind.FLASK_COOKIE:
            values = untagged(values)
        if not isinstance(values, Mapping):
            raise PayloadRefused("unreadable", "no mapping of names to values")
        return SignedSession(unsigned.hash, values, unsigned.signed_at, expires_at)


def from_json(payload: bytes) -> Any:
    """Raises PayloadRefused."""
    check_no_pickle(payload)
    try:
        return json.loads(payload)
    except (ValueError, RecursionError) as error:
        raise PayloadRefused("unreadable", "it is no JSON") from error


def django_reader(secrets: Sequence[str], salt: str) -> Callable[[str], Unsigned]:
    """Unpacks what `django.core.signing.dumps` made with that salt. Raises ConfigurationError, and then PayloadRefused."""
    try:
        from django.core import signing
    except ImportError as error:
        raise ConfigurationError('Sessions of Django are checked by Django: pip install "sessile[django]"') from error
    signer = signing.Signer(key=secrets[0], salt=salt, fallback_keys=list(secrets[1:]), algorithm="sha256")

    def unsign(text: str) -> Unsigned:
        try:
            signed = signer.unsign(text)
            packed, _, stamp = signed.rpartition(":")
            signed_at = datetime.fromtimestamp(signing.b62_decode(stamp), UTC)
        except (signing.BadSignature, ValueError, OverflowError, OSError) as error:
            raise PayloadRefused("signature", _UNSIGNED) from error
        return Unsigned(hash_legacy(signed), _unpacked(packed.encode()), signed_at)

    return unsign


def _django_cookies(secrets: Sequence[str]) -> Callable[[str], Unsigned]:
    return django_reader(secrets, DJANGO_COOKIE_SALT)


def _flask_cookies(secrets: Sequence[str]) -> Callable[[str], Unsigned]:
    unsign = _itsdangerous(secrets, salt="cookie-session", key_derivation="hmac", digest_method=hashlib.sha1)
    return lambda cookie: unsign(cookie, _unpacked)


def _starlette_cookies(secrets: Sequence[str]) -> Callable[[str], Unsigned]:
    unsign = _itsdangerous(secrets)
    return lambda cookie: unsign(cookie, lambda packed: from_base64(packed, urlsafe=False))


def _itsdangerous(secrets: Sequence[str], **options: Any) -> Callable[[str, Callable[[bytes], bytes]], Unsigned]:
    try:
        import itsdangerous
    except ImportError as error:
        raise ConfigurationError(
            "SESSILE_LEGACY_COOKIES: cookies of Flask and Starlette are checked by itsdangerous: pip install itsdangerous"
        ) from error
    signer = itsdangerous.TimestampSigner(list(reversed(secrets)), **options)  # it wants the newest key last

    def unsign(cookie: str, unpack: Callable[[bytes], bytes]) -> Unsigned:
        try:
            packed, signed_at = signer.unsign(cookie, return_timestamp=True)
        except (itsdangerous.BadSignature, ValueError) as error:
            raise PayloadRefused("signature", _UNSIGNED) from error
        return Unsigned(hash_legacy(cookie.rpartition(".")[0]), unpack(packed), signed_at)

    return unsign


def _unpacked(packed: bytes) -> bytes:
    """Base64, after a dot also compressed."""
    if packed[:1] == b".":
        return inflated(from_base64(packed[1:], urlsafe=True))
    return from_base64(packed, urlsafe=True)


_READERS: Final[Mapping[LegacyKind, Callable[[Sequence[str]], Callable[[str], Unsigned]]]] = {
    LegacyKind.FLASK_COOKIE: _flask_cookies,
    LegacyKind.STARLETTE_COOKIE: _starlette_cookies,
    LegacyKind.DJANGO_COOKIE: _django_cookies,
}
