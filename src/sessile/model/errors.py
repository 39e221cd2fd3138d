"""Every error Sessile raises.

    SessileError
    ├── ConfigurationError              a setting is missing, weak or contradicts another
    ├── StoreUnavailable                cannot look: the store is down, locked or too slow (retryable)
    ├── SessionError
    │   ├── SessionNotFound             no such session, or the token is not one of ours
    │   ├── SessionExpired              idle or absolute deadline passed
    │   ├── SessionEnded                ended, with the reason
    │   ├── SessionClosed               written to after the response had started
    │   │   └── SessionReadOnly         the log-in changed while the request was under way
    │   ├── SessionCreationError        a session could not be made
    │   │   ├── SessionLimitReached     the user has as many as are allowed
    │   │   └── MaintenanceUnderway     nobody new is let in just now (retryable)
    │   ├── SessionUpdateError          a session could not be changed
    │   └── AuthenticationRequired      a user is needed here
    ├── FreshnessRequired               the last authentication is too old for this
    ├── OriginRefused / CsrfFailed      a request from somewhere else
    ├── InvalidValue                    a value that cannot be kept; names the path
    ├── InvalidChange                   a change that is malformed; names the path
    ├── DocumentNotFound / CheckpointNotFound / ConflictNotFound
    ├── HandoffRefused                  a code that is wrong, used, too late, or was not agreed to
    ├── TooManyTries                    wrong guesses from one address (retryable)
    ├── PlatformRefused                 not a platform that this user can be on
    ├── DocumentTooLarge                over a limit of `sessile.model.limits`
    ├── VersionConflict                 somebody was faster; carries what is there now
    ├── ChangeRejected                  a server-side change got the verdict rejected or conflict
    ├── SchemaUnknown                   this process does not know the document's kind, or only an older version of it
    ├── SchemaUpgradeFailed             a state of an older version could not be brought to the present one
    ├── VersionNotKept                  the log does not reach back that far any more
    ├── ExportDamaged                   an exported document that is not as it was exported
    └── SequenceGap / IdentityReused    a device's sequence does not fit (answered with nack)

"Not found" and "cannot look" are never the same error: an outage must not look like a logout.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar, Literal


class SessileError(Exception):
    """Root. `code` is stable, `message` is safe to show to anybody, `retryable` says whether the same call may succeed later."""

    code: ClassVar[str] = "internal"
    http_status: ClassVar[int] = 500
    retryable: ClassVar[bool] = False
    default_message: ClassVar[str] = "Something went wrong on the server."

    def __init__(self, message: str | None = None) -> None:
        self.message = message if message is not None else self.default_message
        super().__init__(self.message)

    def as_dict(self) -> dict[str, Any]:
        """Code, message, retryable: the body of a problem response and of an error frame."""
        return {"code": self.code, "message": self.message, "retryable": self.retryable}


class ConfigurationError(SessileError):
    code = "configuration"
    default_message = "The configuration is not valid."


class StoreUnavailable(SessileError):
    """The store cannot be reached or did not answer in time. Nothing was decided, nothing was lost."""

    code = "store_unavailable"
    http_status = 503
    retryable = True
    default_message = "The store cannot be reached just now. Nothing was lost; try again."
    retry_after_s: ClassVar[int] = 2


class SessionError(SessileError):
    code = "session_error"
    http_status = 401
    default_message = "There is no usable session."


class SessionNotFound(SessionError):
    code = "session_not_found"
    default_message = "There is no such session."


class SessionExpired(SessionError):
    """`clock` is "idle" or "absolute"."""

    code = "session_expired"
    default_message = "The session has expired. Log in again; what you had open is still there."

    def __init__(self, clock: str) -> None:
        super().__init__()
        self.clock = clock

    def as_dict(self) -> dict[str, Any]:
        return {**super().as_dict(), "clock": self.clock}


class SessionEnded(SessionError):
    """`reason` is a value of `sessile.model.session.EndReason`."""

    code = "session_ended"
    default_message = "The session has ended. Log in again; what you had open is still there."

    def __init__(self, reason: str) -> None:
        super().__init__()
        self.reason = reason

    def as_dict(self) -> dict[str, Any]:
        return {**super().as_dict(), "reason": self.reason}


class SessionClosed(SessionError):
    code = "session_closed"
    http_status = 500
    default_message = (
        "The session was written to after the response had started. Change it before the first byte is sent."
    )


class SessionReadOnly(SessionClosed):
    """Somebody logged in (or out) with this browser while the request was under way, or a socket has no session that it could write to."""

    code = "session_read_only"
    http_status = 409
    retryable = True
    default_message = "This browser's log-in changed while the request was under way. Send it again."


class SessionCreationError(SessionError):
    code = "session_creation_failed"
    http_status = 409
    default_message = "The session could not be created."


class SessionLimitReached(SessionCreationError):
    """The user has as many sessions as are allowed at once, and the setting says to refuse another one."""

    code = "session_limit_reached"
    default_message = "There are as many sessions of this account as are allowed. End one of them, and log in again."

    def __init__(self, sessions_max: int) -> None:
        self.sessions_max = sessions_max
        super().__init__()

    def as_dict(self) -> dict[str, Any]:
        return {**super().as_dict(), "sessions_max": self.sessions_max}


class MaintenanceUnderway(SessionCreationError):
    """`until` is when it is to be over, where that is known."""

    code = "maintenance"
    http_status = 503
    retryable = True
    default_message = "Maintenance is under way. What you had open is still there; log in again when it is over."
    retry_after_s: ClassVar[int] = 60

    def __init__(self, message: str | None, until: datetime | None) -> None:
        super().__init__(message or None)
        self.until = until

    def as_dict(self) -> dict[str, Any]:
        return {**super().as_dict(), "until": None if self.until is None else self.until.isoformat()}


class SessionUpdateError(SessionError):
    code = "session_update_failed"
    http_status = 409
    default_message = "The session could not be changed."


class AuthenticationRequired(SessionError):
    """`reason` is `no_cookie`, `unknown`, `expired`, `ended:<reason>` or `anonymous`."""

    code = "authentication_required"
    default_message = "Log in to continue."

    def __init__(self, reason: str) -> None:
        super().__init__()
        self.reason = reason

    def as_dict(self) -> dict[str, Any]:
        return {**super().as_dict(), "reason": self.reason}


class FreshnessRequired(SessileError):
    code = "freshness_required"
    http_status = 403
    default_message = "Confirm who you are to continue: the last log-in is too long ago for this."

    def __init__(self, max_age_s: float) -> None:
        super().__init__()
        self.max_age_s = max_age_s

    def as_dict(self) -> dict[str, Any]:
        return {**super().as_dict(), "max_age_s": self.max_age_s}


class OriginRefused(SessileError):
    code = "origin_refused"
    http_status = 403
    default_message = "Requests from this origin are not allowed. Add it to SESSILE_ALLOWED_ORIGINS if it is yours."


class CsrfFailed(SessileError):
    code = "csrf_failed"
    http_status = 403
    default_message = "The request does not prove that it comes from this site (Origin or Sec-Fetch-Site)."


class InvalidValue(SessileError):
    """A value that cannot be stored. `path` is a JSON Pointer to it."""

    code = "invalid_value"
    http_status = 422

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(f"{path or '(top level)'}: {problem}")
        self.path = path

    def as_dict(self) -> dict[str, Any]:
        return {**super().as_dict(), "path": self.path}


class InvalidChange(SessileError):
    """A change that no correct client sends. `path` names the faulty field, e.g. `/changes/0/operations/2/path`."""

    code = "invalid_change"
    http_status = 422

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(f"{path or '(change)'}: {problem}")
        self.path = path

    def as_dict(self) -> dict[str, Any]:
        return {**super().as_dict(), "path": self.path}


class DocumentNotFound(SessileError):
    """No such document, or it belongs to somebody else: the two answer alike."""

    code = "document_not_found"
    http_status = 404
    default_message = "There is no such document."


class CheckpointNotFound(SessileError):
    code = "checkpoint_not_found"
    http_status = 404
    default_message = "There is no such checkpoint of this document."


class ConflictNotFound(SessileError):
    code = "conflict_not_found"
    http_status = 404
    default_message = "There is no such open conflict."


class HandoffRefused(SessileError):
    """`reason` is `unknown` (no such code, or not any more), `refused` (the first device said no), `ended` (the session that offered it is over)
    or `state` (there is nothing to agree to)."""

    code = "handoff_refused"
    http_status = 404
    default_message = "This code is not valid, or not any more. Show a new one on the other device."

    def __init__(self, reason: Literal["unknown", "refused", "ended", "state"]) -> None:
        super().__init__("The other device did not agree." if reason == "refused" else None)
        self.reason = reason

    def as_dict(self) -> dict[str, Any]:
        return {**super().as_dict(), "reason": self.reason}


class TooManyTries(SessileError):
    """Guessing is slowed down, by address."""

    code = "too_many"
    http_status = 429
    retryable = True
    default_message = "Too many wrong tries from here. Wait two minutes."
    retry_after_s: ClassVar[int] = 120


class PlatformRefused(SessileError):
    """`reason` is `missing`, `other_owner` or `inactive`. Only the application learns it from here: over the wire somebody else's platform is
    `missing` like one that there never was."""

    code = "platform_refused"
    http_status = 404
    default_message = "There is no such platform."

    def __init__(self, reason: Literal["missing", "other_owner", "inactive"]) -> None:
        super().__init__("This platform is not active any more." if reason == "inactive" else None)
        self.reason = reason

    def as_dict(self) -> dict[str, Any]:
        return {**super().as_dict(), "reason": "inactive" if self.reason == "inactive" else "missing"}


class DocumentTooLarge(SessileError):
    code = "too_large"
    http_status = 413
    default_message = "This is larger than the limit."


class VersionConflict(SessileError):
    """`current` is what stands there now."""

    code = "version_conflict"
    http_status = 409
    default_message = "It was changed meanwhile."

    def __init__(self, current: Any, message: str | None = None) -> None:
        super().__init__(message)
        self.current = current

    def as_dict(self) -> dict[str, Any]:
        return {**super().as_dict(), "current": self.current}


class ChangeRejected(SessileError):
    """A change made by server code was not applied. `detail` is the verdict's detail."""

    code = "change_rejected"
    http_status = 409

    def __init__(self, verdict: str, detail: dict[str, Any]) -> None:
        super().__init__(f"The change was not applied ({verdict}): {detail.get('message', detail.get('code', ''))}")
        self.verdict = verdict
        self.detail = detail

    def as_dict(self) -> dict[str, Any]:
        return {**super().as_dict(), "verdict": self.verdict, "detail": self.detail}


class SchemaUnknown(SessileError):
    """This process does not know the document's kind in its version, so it could not tell a valid change from another. Reading works.
    Another process, or the next release, may know it: changes wait."""

    code = "schema_unknown"
    http_status = 409
    retryable = True

    def __init__(self, schema_name: str, schema_version: int | None) -> None:
        version = "" if schema_version is None else f" in version {schema_version}"
        super().__init__(
            f"The document kind {schema_name}{version} is not known here; such documents can only be read."
        )
        self.schema_name = schema_name
        self.schema_version = schema_version

    def as_dict(self) -> dict[str, Any]:
        return {**super().as_dict(), "schema_name": self.schema_name, "schema_version": self.schema_version}


class SchemaUpgradeFailed(SessileError):
    """The document is still of an older version of its kind, and bringing it up to date failed. It can be read as it is, and not be changed."""

    code = "schema_upgrade_failed"
    http_status = 409

    def __init__(self, schema_name: str, from_version: int, problem: str) -> None:
        super().__init__(f"The document could not be upgraded from version {from_version} of {schema_name}: {problem}")
        self.schema_name = schema_name
        self.from_version = from_version

    def as_dict(self) -> dict[str, Any]:
        return {**super().as_dict(), "schema_name": self.schema_name, "from_version": self.from_version}


class VersionNotKept(SessileError):
    """The log was shortened behind this version. `oldest_version` is the first that can still be rebuilt; checkpoints stay reachable by id."""

    code = "version_not_kept"
    http_status = 410

    def __init__(self, oldest_version: int) -> None:
        super().__init__(f"The history of this document goes back to version {oldest_version}.")
        self.oldest_version = oldest_version

    def as_dict(self) -> dict[str, Any]:
        return {**super().as_dict(), "oldest_version": self.oldest_version}


class ExportDamaged(SessileError):
    """An exported document whose hash, log or values do not fit together. Nothing of it was imported."""

    code = "export_damaged"
    http_status = 422

    def __init__(self, problem: str) -> None:
        super().__init__(f"The exported document is damaged: {problem}")


class SequenceGap(SessileError):
    """The device skipped a sequence number; `expected_seq` is the one to go on with."""

    code = "gap"
    http_status = 409
    retryable = True

    def __init__(self, expected_seq: int) -> None:
        super().__init__(f"The next change of this device must have seq {expected_seq}.")
        self.expected_seq = expected_seq

    def as_dict(self) -> dict[str, Any]:
        return {**super().as_dict(), "expected_seq": self.expected_seq}


class IdentityReused(SessileError):
    """The same (device, seq) came with other operations: two browsers share one device id. Take a new one and resubmit."""

    code = "identity_reused"
    http_status = 409

    def __init__(self, expected_seq: int) -> None:
        super().__init__("This device id and seq were used for another change. Take a new device id and resubmit.")
        self.expected_seq = expected_seq
