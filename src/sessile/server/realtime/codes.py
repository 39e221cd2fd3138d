"""Close codes, error codes and nack reasons of protocol/codes.json as constants. A test holds the two equal; the file is not needed to run."""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import Final


class CloseCode(IntEnum):
    """4000 to 4499: reconnect. 4500 to 4999: do not."""

    TOO_LARGE = 1009
    DRAIN = 4000
    PING_TIMEOUT = 4001
    HELLO_TIMEOUT = 4002
    UNAVAILABLE = 4003
    INTERNAL = 4004
    SLOW_CONSUMER = 4408
    REPLACED = 4409
    PROTOCOL_ERROR = 4500
    SESSION_ENDED = 4501
    SESSION_EXPIRED = 4502
    WRONG_USER = 4503
    UNAUTHENTICATED = 4504


class NackReason(StrEnum):
    GAP = "gap"
    RATE = "rate"
    IDENTITY_REUSED = "identity_reused"
    UNAVAILABLE = "unavailable"


ERROR_CODES: Final = frozenset(
    {
        "malformed_frame",
        "unknown_type",
        "invalid_change",
        "too_large",
        "document_not_found",
        "checkpoint_not_found",
        "conflict_not_found",
        "platform_refused",
        "handoff_refused",
        "maintenance",
        "session_not_found",
        "session_expired",
        "session_ended",
        "freshness_required",
        "origin_refused",
        "csrf_failed",
        "version_conflict",
        "schema_unknown",
        "schema_upgrade_failed",
        "store_unavailable",
        "live_push_unavailable",
        "too_many",
        "internal",
    }
)
"""What an `error` frame may say, and what a client must know of the answers to its requests (`live_push_unavailable` is none of a frame). HTTP problems use these too, and a few that only HTTP needs (see sessile.server.refusals)."""
