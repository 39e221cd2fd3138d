"""A session: who is here, on what, until when. Records are immutable; `sessile.engine.sessions` makes new ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar

import msgspec

from sessile.model.binding import Binding
from sessile.model.record import Record


class EndReason(StrEnum):
    LOGOUT = "logout"
    EXPIRED = "expired"
    REVOKED = "revoked"
    SUPERSEDED = "superseded"
    LIMIT = "limit"
    PASSWORD_CHANGED = "password_changed"  # noqa: S105 - a reason, not a password
    ADMIN = "admin"
    THEFT = "theft"
    MAINTENANCE = "maintenance"
    PROVIDER = "provider"
    """The identity provider ended its session (OpenID Connect Back-Channel Logout 1.0)."""


class Standing(StrEnum):
    """How the presented token relates to the session."""

    CURRENT = "current"
    ROTATED = "rotated"
    """A token retired by a rotation of the same principal, within its window: the session as it was."""
    SUPERSEDED = "superseded"
    """A token retired by a change of principal, within its window: anonymous, read-only, without data, documents or socket."""


class RetiredToken(Record, frozen=True):
    """A token that no longer is the current one. `principal_changed` decides what it may still see."""

    _unshown: ClassVar[tuple[str, ...]] = ("token_hash",)

    token_hash: bytes
    retired_at: datetime
    principal_changed: bool
    authenticated_at: datetime | None
    successor_seen_at: datetime | None = None
    """When a later token was first presented; None while that is only known of the current one (`Session.token_seen_at`)."""


class Session(Record, frozen=True, kw_only=True):
    """One browser or app that is known to us. `session_id` is the handle: public, never a credential. Times are UTC."""

    _unshown: ClassVar[tuple[str, ...]] = ("data", "token_hash", "retired_tokens", "fingerprint", "provider_session")

    session_id: str
    user_id: str | None = None
    platform_id: str | None = None
    device_id: str | None = None
    device: Mapping[str, Any] = msgspec.field(default_factory=dict)
    public: Mapping[str, Any] = msgspec.field(default_factory=dict)
    """What pages may see of the user; filled by the application."""
    data: bytes = b"{}"
    """The framework's dict, encoded by `sessile.model.values`. Never leaves the server."""
    version: int = 1
    created_at: datetime
    authenticated_at: datetime | None = None
    last_seen_at: datetime
    idle_expires_at: datetime
    absolute_expires_at: datetime
    ended_at: datetime | None = None
    end_reason: EndReason | None = None
    token_hash: bytes = b""
    token_seen_at: datetime | None = None
    """When the current token was first presented; a retired token's window counts from here."""
    retired_tokens: tuple[RetiredToken, ...] = ()
    is_remembered: bool = False
    """Both clocks are the longer one of "keep me logged in". Freshness is not: what needs a recent log-in goes on needing it."""
    disconnected_at: datetime | None = None
    """When the last connection of the session was lost; None while it never was."""
    reconnected_at: datetime | None = None
    """When one came back after that."""
    fingerprint: str | None = None
    """A keyed hash of what the browser said of itself at the login; None where nobody asked (`fingerprint`)."""
    provider_session: str | None = None
    """A hash of the session at the identity provider that logged the user in."""
    binding: Binding | None = None
    """The device that it is bound to, where one has registered."""
    standing: Standing = Standing.CURRENT

    @property
    def expires_at(self) -> datetime:
        """The nearer of the two deadlines."""
        return min(self.idle_expires_at, self.absolute_expires_at)

    @property
    def can_extend(self) -> bool:
        """Whether activity would move the deadline: nothing moves the absolute one (ASVS 7.3.2)."""
        return self.idle_expires_at < self.absolute_expires_at

    @property
    def is_authenticated(self) -> bool:
        return self.user_id is not None

    @property
    def is_read_only(self) -> bool:
        return self.standing is Standing.SUPERSEDED


class Lifetime(Record, frozen=True):
    """Of a session only what tells whether it is over."""

    idle_expires_at: datetime
    absolute_expires_at: datetime
    ended_at: datetime | None = None
    end_reason: EndReason | None = None

    @property
    def expires_at(self) -> datetime:
        """The nearer of the two deadlines."""
        return min(self.idle_expires_at, self.absolute_expires_at)

    @property
    def can_extend(self) -> bool:
        """Whether activity would move the deadline."""
        return self.idle_expires_at < self.absolute_expires_at


@dataclass(frozen=True, slots=True)
class Issued:
    """A session together with the token that was just made for it: the only time the token is known."""

    session: Session
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class SessionContext:
    """What a page may know: the session's handle and times, the user's public facts, the platform."""

    session: Session
    user: Mapping[str, Any] | None
    platform: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class Principal:
    user_id: str
    public: Mapping[str, Any] = field(default_factory=dict)
    roles: tuple[str, ...] = ()
    disabled_at: datetime | None = None
    sessions_max: int | None = None
