"""Cookies of the session library that was here before: recognised at request time, and replaced by a token of ours at first use.

Which cookies these are is said explicitly (`legacy_cookies`). Whether one is believed is asked of the store with every request, so an outage
is StoreUnavailable and never "nobody is logged in".
"""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from sessile.engine.legacy import Arrived, Import
from sessile.model import token as tokens
from sessile.model.errors import ConfigurationError, SessionNotFound
from sessile.model.legacy import Arrival, LegacyKind, has_own_shape, hash_legacy
from sessile.model.session import Session
from sessile.moving.payload import PayloadRefused, content_of
from sessile.moving.signed import SignedCookies
from sessile.runtime.settings import Settings
from sessile.web.asgi import Scope, host_of, scheme_of
from sessile.web.cookie_names import carries, values_of
from sessile.web.legacy_guessing import FailedLookups

if TYPE_CHECKING:
    from sessile.runtime.manager import AsyncSessionManager
    from sessile.web.cookies import CookiePolicy

logger: Final = logging.getLogger("sessile.web.legacy")


@dataclass(frozen=True, slots=True)
class LegacyFound:
    """A session that an old cookie led to, and the headers that make the browser forget that cookie once its token is on its way."""

    arrived: Arrived
    headers: tuple[tuple[bytes, bytes], ...]


class LegacyCookies:
    """Raises ConfigurationError for settings that do not fit together."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._kinds = dict(settings.legacy_cookies)
        self._user_keys = settings.legacy_user_keys
        secrets = [secret.get_secret_value() for secret in settings.legacy_secrets]
        max_age = None if settings.legacy_max_age_s is None else timedelta(seconds=settings.legacy_max_age_s)
        self._failed = FailedLookups()
        self._signed = {kind: SignedCookies(kind, secrets, max_age) for kind in self._kinds.values() if kind.is_signed}

    def has_one(self, scope: Scope) -> bool:
        """Whether the request carries a cookie that may be an old one, whatever it is worth."""
        return carries(scope["headers"], self._kinds)

    def is_asked(self, token: str | None, reason: str) -> bool:
        """Whether an old cookie counts beside what was found of ours: only when there is none, or a value that cannot be one."""
        return bool(self._kinds) and (reason == "no_cookie" if token is None else not _is_ours(token))

    async def look(self, manager: AsyncSessionManager, cookies: CookiePolicy, scope: Scope) -> LegacyFound | None:
        """The session that an old cookie of this request leads to; None when there is no such cookie. Raises SessionNotFound, SessionEnded,
        SessionExpired, StoreUnavailable, TooManyTries."""
        for name, kind in self._kinds.items():
            value = self._value(scope, name)
            if value is not None and _is_settable(cookies, scope):
                arrived = await self._arrive(manager, scope, kind, value, can_replace=scope["type"] == "http")
                return LegacyFound(arrived, self._forgetting(cookies, scope, name) if arrived.token is not None else ())
        return None

    async def recognise(self, manager: AsyncSessionManager, cookies: CookiePolicy, scope: Scope) -> Session | None:
        """The same without replacing anything: for answers that carry no cookie."""
        for name, kind in self._kinds.items():
            value = self._value(scope, name)
            if value is not None and _is_settable(cookies, scope):
                return (await self._arrive(manager, scope, kind, value, can_replace=False)).session
        return None

    async def _arrive(
        self, manager: AsyncSessionManager, scope: Scope, kind: LegacyKind, value: str, *, can_replace: bool
    ) -> Arrived:
        legacy = manager.legacy
        if not kind.is_signed:
            # Flask-Session's signer appends a signature to its id; the id itself is the secret.
            legacy_id = value.partition(".")[0] if kind is LegacyKind.FLASK_SESSION else value
            if not has_own_shape(kind, legacy_id):
                raise SessionNotFound
            value_hash, now = hash_legacy(legacy_id), manager.clock.now()
            self._failed.check(scope, now)
            try:
                return await legacy.arrive(value_hash, can_replace=can_replace)
            except SessionNotFound:
                self._failed.note(scope, value_hash, now)
                raise
        run = Import(None, kind, self._until())
        return await legacy.arrive_signed(run, self._read(kind, value, manager.clock.now()), can_replace=can_replace)

    def _read(self, kind: LegacyKind, value: str, now: datetime) -> Arrival:
        try:
            found = self._signed[kind].read(value, now)
            content = content_of(kind, found.values, self._user_keys)
        except PayloadRefused as error:
            logger.debug(
                "A %s cookie is not taken over: %s", kind, error.reason, extra={"event_name": "legacy_refused"}
            )
            raise SessionNotFound from error
        for loss in content.losses:
            logger.warning(
                "A value of a %s cookie cannot be kept: %s: %s",
                kind,
                ascii(loss.path),
                loss.reason,
                extra={"event_name": "legacy_value_lost"},
            )
        if content.is_empty:
            raise SessionNotFound
        return Arrival(
            hash=found.hash,
            user_id=content.user_id,
            data=content.data,
            expires_at=found.expires_at,
            signed_at=found.signed_at,
        )

    def _until(self) -> datetime:
        until = self._settings.legacy_until
        assert until is not None, "the settings see to it"
        return until

    def _value(self, scope: Scope, name: str) -> str | None:
        """Of the one cookie of that name that is no token of ours: an integration may go on using the name. Two different ones are none: somebody
        may have planted one, and nothing says which."""
        values, imitated = values_of(scope["headers"], name)
        old = {value.strip('"') for value in values if value and not _is_ours(value)}
        return old.pop() if len(old) == 1 and not imitated else None

    def _forgetting(self, cookies: CookiePolicy, scope: Scope, name: str) -> tuple[tuple[bytes, bytes], ...]:
        if name == cookies.name_for(scheme_of(scope), host_of(scope)):
            return ()  # ours replaces it
        parts = [f"{name}=", f"Path={self._settings.cookie_path}", "Max-Age=0", "HttpOnly"]
        if self._settings.legacy_cookie_domain is not None:
            parts.append(f"Domain={self._settings.legacy_cookie_domain}")
        if scheme_of(scope) == "https":
            parts.append("Secure")
        return ((b"set-cookie", "; ".join([*parts, "SameSite=Lax"]).encode("ascii")),)


def _is_settable(cookies: CookiePolicy, scope: Scope) -> bool:
    with suppress(ConfigurationError):
        cookies.require_settable(scope)
        return True
    return False


def _is_ours(value: str) -> bool:
    try:
        tokens.parse(value)
    except SessionNotFound:
        return False
    return True
