"""What looks like an attack. Noted in the audit, and told to whoever listens; by itself it refuses nobody."""

from __future__ import annotations

from enum import StrEnum


class Anomaly(StrEnum):
    """The reason, as it stands in the audit event's type and in the `detail` of `EventKind.ANOMALY`. Names of the OWASP logging vocabulary where it has one."""

    TOKEN_REUSE = "authn_token_reuse"  # noqa: S105 - a reason, not a token
    """A retired token was used after its window: somebody has a copy."""
    FINGERPRINT_MISMATCH = "session_fingerprint_mismatch"
    """A session's token came from a browser that says other things of itself than the one that logged in."""
    RATE_LIMIT = "excess_rate_limit_exceeded"
    """Somebody does something more often than is allowed."""
    ID_GUESSING = "session_id_guessing"
    """Many tokens that stand for nothing came from one address."""
