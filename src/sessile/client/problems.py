"""The error that a frame or an HTTP problem (RFC 9457) stands for: by code, with the fields that it carries and the server's own words.

A frame says code, message and retryable only, so every field may be missing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from http import HTTPStatus
from typing import Any, Final

from sessile.client.errors import ForeignSession, MalformedRequest, NoSuchAddress, ServerFault, ServerRefused
from sessile.model.errors import (
    AuthenticationRequired,
    BindingRefused,
    BindingRequired,
    ChangeRejected,
    CheckpointNotFound,
    ConflictNotFound,
    ContentUnreadable,
    CsrfFailed,
    DocumentNotFound,
    DocumentTooLarge,
    ExportDamaged,
    FreshnessRequired,
    HandoffRefused,
    IdentityReused,
    InvalidChange,
    InvalidValue,
    MaintenanceUnderway,
    OriginRefused,
    PlatformRefused,
    SchemaUnknown,
    SchemaUpgradeFailed,
    SequenceGap,
    SessileError,
    SessionClosed,
    SessionCreationError,
    SessionDamaged,
    SessionEnded,
    SessionError,
    SessionExpired,
    SessionLimitReached,
    SessionNotFound,
    SessionReadOnly,
    SessionUpdateError,
    StoreUnavailable,
    TooManyTries,
    VersionConflict,
    VersionNotKept,
)

Problem = Mapping[str, Any]

_PLAIN: Final[Mapping[str, type[SessileError]]] = {
    kind.code: kind
    for kind in (
        BindingRequired,
        CheckpointNotFound,
        ContentUnreadable,
        CsrfFailed,
        DocumentNotFound,
        DocumentTooLarge,
        OriginRefused,
        SessionClosed,
        SessionCreationError,
        SessionError,
        SessionNotFound,
        SessionReadOnly,
        SessionUpdateError,
        StoreUnavailable,
    )
}
"""Those that carry nothing but their message."""

_WITH_FIELDS: Final[Mapping[str, Callable[[Problem], SessileError]]] = {
    AuthenticationRequired.code: lambda raw: AuthenticationRequired(str(raw.get("reason", "unknown"))),
    BindingRefused.code: lambda raw: BindingRefused(str(raw.get("reason", "unknown"))),
    ChangeRejected.code: lambda raw: ChangeRejected(*_verdict(raw)),
    ConflictNotFound.code: lambda raw: ConflictNotFound(*_verdict(raw)),
    ExportDamaged.code: lambda _raw: ExportDamaged(""),
    FreshnessRequired.code: lambda raw: FreshnessRequired(float(raw.get("max_age_s", 0))),
    HandoffRefused.code: lambda raw: HandoffRefused(raw.get("reason", "unknown")),
    IdentityReused.code: lambda raw: IdentityReused(int(raw.get("expected_seq", 1))),
    InvalidChange.code: lambda raw: InvalidChange(str(raw.get("path", "")), ""),
    InvalidValue.code: lambda raw: InvalidValue(str(raw.get("path", "")), ""),
    MaintenanceUnderway.code: lambda raw: MaintenanceUnderway(None, _moment(raw.get("until"))),
    PlatformRefused.code: lambda raw: PlatformRefused(raw.get("reason", "missing")),
    SchemaUnknown.code: lambda raw: SchemaUnknown(str(raw.get("schema_name", "")), raw.get("schema_version")),
    SchemaUpgradeFailed.code: lambda raw: SchemaUpgradeFailed(
        str(raw.get("schema_name", "")), int(raw.get("from_version", 0)), ""
    ),
    SequenceGap.code: lambda raw: SequenceGap(int(raw.get("expected_seq", 1))),
    SessionDamaged.code: lambda raw: SessionDamaged(str(raw.get("session_id", "unknown"))),
    SessionEnded.code: lambda raw: SessionEnded(str(raw.get("reason", "unknown"))),
    SessionExpired.code: lambda raw: SessionExpired(str(raw.get("clock", "idle"))),
    SessionLimitReached.code: lambda raw: SessionLimitReached(int(raw.get("sessions_max", 0))),
    TooManyTries.code: lambda raw: TooManyTries(int(raw.get("retry_after_s", 120))),
    VersionConflict.code: lambda raw: VersionConflict(raw.get("current")),
    VersionNotKept.code: lambda raw: VersionNotKept(int(raw.get("oldest_version", 0))),
}
_MALFORMED: Final = frozenset({"malformed_frame", "unknown_type", "method_not_allowed", "precondition_required"})
_WORTH_A_TRY: Final = frozenset(
    {
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.BAD_GATEWAY,
        HTTPStatus.SERVICE_UNAVAILABLE,
        HTTPStatus.GATEWAY_TIMEOUT,
    }
)


def _verdict(raw: Problem) -> tuple[str, dict[str, Any]]:
    return str(raw.get("verdict", "rejected")), dict(raw.get("verdict_detail") or {})


def error_from(raw: Problem, status: int | None = None) -> SessileError:
    """`status` is that of the HTTP response. A code that is not known, or fields that cannot be read: ServerRefused."""
    code, message = str(raw.get("code", "")), _message(raw)
    try:
        return _known(code, message, raw, status) or _unknown(code, message, raw)
    except (TypeError, ValueError, AttributeError):
        return _unknown(code, message, raw)


def error_of_status(status: int) -> ServerRefused:
    """An answer without a problem: of a proxy, or of another service than ours."""
    message = "The answer is not the service's. Is this its address, and does a proxy stand before it?"
    return ServerRefused(f"http_{status}", message, is_retryable=status in _WORTH_A_TRY)


def _known(code: str, message: str, raw: Problem, status: int | None) -> SessileError | None:
    if code in _MALFORMED:
        return MalformedRequest(code, message, list(raw.get("errors") or ()))
    if code in ("not_found", "live_push_unavailable"):
        return NoSuchAddress(message, code)
    if code == SessileError.code:
        return ServerFault(message, is_retryable=bool(raw.get("retryable")))
    if code == ForeignSession.code and status == HTTPStatus.NOT_FOUND:
        return _saying(ForeignSession(), message)
    if code in _PLAIN:
        return _saying(_PLAIN[code](), message)
    if code in _WITH_FIELDS:
        return _saying(_WITH_FIELDS[code](raw), message)
    return None


def _unknown(code: str, message: str, raw: Problem) -> ServerRefused:
    return ServerRefused(code, message, is_retryable=bool(raw.get("retryable")))


def _saying(error: SessileError, message: str) -> SessileError:
    """With the words of the server, which knows more than its fields tell."""
    if message:
        error.message, error.args = message, (message,)
    return error


def _message(raw: Problem) -> str:
    detail = raw.get("detail")  # of a rejected change it is an object
    return str(raw.get("message") or (detail if isinstance(detail, str) else ""))


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
