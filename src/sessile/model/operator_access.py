"""Operators of the console: their roles, what each role may do, and the credentials that let them in. Never a user's session, and never a user's cookie."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import ClassVar, Final

from sessile.model.record import Record


class Role(StrEnum):
    READ_ONLY = "read_only"
    OPERATOR = "operator"
    ADMIN = "admin"


class Right(StrEnum):
    READ = "read"
    DOCUMENT_STATE = "document.state"
    """What is in documents: somebody's private work."""
    SESSION_END = "session.end"
    SESSION_EXTEND = "session.extend"
    SESSION_RESYNC = "session.resync"
    SESSION_PLATFORM = "session.platform"
    USER_END = "user.end"
    USER_DISABLE = "user.disable"
    DOCUMENT_RESTORE = "document.restore"
    DOCUMENT_FORK = "document.fork"
    ALERT_ACKNOWLEDGE = "alert.acknowledge"
    AUDIT_EXPORT = "audit.export"
    SETTINGS_READ = "settings.read"
    OPERATORS_MANAGE = "operators.manage"


_READ: Final = frozenset({Right.READ})
_OPERATE: Final = _READ | {
    Right.DOCUMENT_STATE,
    Right.SESSION_END,
    Right.SESSION_EXTEND,
    Right.SESSION_RESYNC,
    Right.SESSION_PLATFORM,
    Right.USER_END,
    Right.DOCUMENT_RESTORE,
    Right.DOCUMENT_FORK,
    Right.ALERT_ACKNOWLEDGE,
}
RIGHTS: Final[dict[Role, frozenset[Right]]] = {
    Role.READ_ONLY: _READ,
    Role.OPERATOR: _OPERATE,
    Role.ADMIN: frozenset(Right),
}
"""The one table of who may do what."""


class CredentialKind(StrEnum):
    TOKEN = "token"  # noqa: S105 - a kind, not a token
    """Made on the command line, typed into the login page once."""
    SESSION = "session"
    """What it was exchanged for: the console's cookie."""


class OperatorEnd(StrEnum):
    USED = "used"
    """A token that was exchanged."""
    SIGNED_OUT = "signed_out"
    REVOKED = "revoked"


class OperatorCredential(Record, frozen=True, kw_only=True):
    """One token or one session of an operator. Of its secret only the SHA-256 is kept. Times are UTC."""

    _unshown: ClassVar[tuple[str, ...]] = ("secret_hash",)

    credential_id: str
    kind: CredentialKind
    operator: str
    role: Role
    secret_hash: bytes
    created_at: datetime
    seen_at: datetime
    idle_expires_at: datetime
    absolute_expires_at: datetime
    made_by: str = ""
    """Who made the token: the account of the machine, or the token that a session came from."""
    ended_at: datetime | None = None
    end_reason: str | None = None

    @property
    def expires_at(self) -> datetime:
        """The nearer of the two deadlines."""
        return min(self.idle_expires_at, self.absolute_expires_at)

    def may(self, right: Right) -> bool:
        """Whether its role has the right."""
        return right in RIGHTS[self.role]

    def refusal(self, now: datetime) -> str | None:
        """Why it is not good any more: `ended:<reason>`, `expired:absolute`, `expired:idle`; None while it is."""
        if self.ended_at is not None:
            return f"ended:{self.end_reason}"
        if now >= self.absolute_expires_at:
            return "expired:absolute"
        return "expired:idle" if now >= self.idle_expires_at else None
