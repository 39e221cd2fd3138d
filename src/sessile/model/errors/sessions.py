"""Errors about sessions and about who asks."""

from __future__ import annotations

from datetime import datetime, timedelta
from math import ceil
from typing import Any, Final, Literal

from sessile.model.errors.root import SessileError

_RETRY_AFTER_MAX_S: Final = 3600


class SessionError(SessileError):
    code = "session_error"
    http_status = 401
    default_message = "There is no usable session."
    cause = "The root of what is wrong with a session; only its subclasses are raised."
    cure = "Catch it where all of them mean the same to you."


class SessionNotFound(SessionError):
    code = "session_not_found"
    default_message = "There is no such session."
    cause = "The token or handle is not one of ours, is cut short, or its session was removed after its retention."
    cure = "Log in again. If it is common, look whether something on the way changes the cookie."


class SessionExpired(SessionError):
    """`clock` is "idle" or "absolute"."""

    code = "session_expired"
    default_message = "The session has expired. Log in again; what you had open is still there."
    cause = (
        "Nobody was active for `idle_timeout_s`, or the log-in is older than `absolute_timeout_s`; `clock` says which."
    )
    cure = "Log in again. Longer deadlines are a setting; `remember` is for people who ask for it."

    def __init__(self, clock: str) -> None:
        super().__init__()
        self.clock = clock

    def as_dict(self) -> dict[str, Any]:
        return {**super().as_dict(), "clock": self.clock}


class SessionEnded(SessionError):
    """`reason` is a value of `sessile.model.session.EndReason`."""

    code = "session_ended"
    default_message = "The session has ended. Log in again; what you had open is still there."
    cause = "Somebody logged out or ended it: `reason` says who and why."
    cure = "Log in again. The audit stream `session:<handle>` has the moment."

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
    cause = "The application wrote to the session in a stream, a background task or after its answer."
    cure = "Write before the response starts, or call the manager there."


class SessionReadOnly(SessionClosed):
    """Somebody logged in (or out) with this browser while the request was under way, or a socket has no session that it could write to."""

    code = "session_read_only"
    http_status = 409
    retryable = True
    default_message = "This browser's log-in changed while the request was under way. Send it again."
    cause = "Another tab logged in or out with this browser meanwhile, or a socket has no session to write to."
    cure = "Send the request again; the browser has the newer cookie. Begin a session in an HTTP request, not over a socket."


class SessionDamaged(SessionError):
    """What the store holds of a session's data is not what was written there, and somebody other than a request wants it: a job, a detached session, a
    change by its handle. A request with such a session is nobody's (`reason` is `damaged`). `session_id` is its handle."""

    code = "session_damaged"
    http_status = 500
    cause = "The row's or the cache's copy of the session's data was changed by hand, cut short, or written by another program."
    cure = "Restore the row from a backup, or let the user log in again: that begins another session. The damaged one stays as it is until it is forgotten."

    def __init__(self, session_id: str) -> None:
        super().__init__(
            f"The stored data of session {session_id} cannot be read. A new log-in begins another session."
        )
        self.session_id = session_id

    def as_dict(self) -> dict[str, Any]:
        return {**super().as_dict(), "session_id": self.session_id}


class SessionCreationError(SessionError):
    code = "session_creation_failed"
    http_status = 409
    default_message = "The session could not be created."
    cause = "The account is disabled, or the id is taken."
    cure = "An operator enables the user (`enable_user`), or the application stops letting this one in."


class SessionLimitReached(SessionCreationError):
    """The user has as many sessions as are allowed at once, and the setting says to refuse another one."""

    code = "session_limit_reached"
    default_message = "There are as many sessions of this account as are allowed. End one of them, and log in again."
    cause = "`sessions_per_user_max`, or the user's own limit, with the action `reject`."
    cure = "End another session, raise the limit, or let the oldest give way (`evict_oldest`)."

    def __init__(self, sessions_max: int) -> None:
        self.sessions_max = sessions_max
        super().__init__()

    def as_dict(self) -> dict[str, Any]:
        return {**super().as_dict(), "sessions_max": self.sessions_max}


class MaintenanceUnderway(SessionCreationError):
    """`until` is when it is to be over, where that is known. `retry_after_s`: so long, but at most an hour; a minute where it is not known."""

    code = "maintenance"
    http_status = 503
    retryable = True
    default_message = "Maintenance is under way. What you had open is still there; log in again when it is over."
    retry_after_s = 60
    cause = "An operator began maintenance, and the user has none of the roles that are spared."
    cure = "Wait until `until`. `maintenance.end()` lets everybody in again."

    def __init__(self, message: str | None, until: datetime | None, left: timedelta | None = None) -> None:
        super().__init__(message or None)
        self.until = until
        if left is not None:
            self.retry_after_s = max(1, min(_RETRY_AFTER_MAX_S, ceil(left.total_seconds())))

    def as_dict(self) -> dict[str, Any]:
        return {**super().as_dict(), "until": None if self.until is None else self.until.isoformat()}


class SessionUpdateError(SessionError):
    code = "session_update_failed"
    http_status = 409
    default_message = "The session could not be changed."
    cause = "The session became another user's meanwhile, or a new token would have nowhere to go (a socket, a bearer token)."
    cure = "Load the session again, or do it in an HTTP request with the cookie."


class AuthenticationRequired(SessionError):
    """`reason` is that of `WebSession.reason`: `no_cookie`, `unknown`, `expired:idle`, `ended:<reason>`, `anonymous` and so on."""

    code = "authentication_required"
    default_message = "Log in to continue."
    cause = "Nobody is logged in; `reason` says what became of the session, if there was one."
    cure = "Show the log-in page. With `no_cookie`, let `CookiePolicy.check` look why none came."

    def __init__(self, reason: str) -> None:
        super().__init__()
        self.reason = reason

    def as_dict(self) -> dict[str, Any]:
        return {**super().as_dict(), "reason": self.reason}


class BindingRequired(SessileError):
    code = "binding_required"
    http_status = 403
    default_message = "This needs the device that you logged in on."
    cause = "The route asks for a session that is bound to its device, and the request did not show that it comes from there."
    cure = "Log in again on this device. With `always=True` it takes a browser that has device bound sessions."


class BindingRefused(SessileError):
    """`reason` is "proof", "challenge", "session", "bound" or "address"."""

    code = "binding_refused"
    http_status = 403
    default_message = "This device cannot be registered for the session."
    cause = (
        "A browser's registration of its key is malformed, late, used before, or for a session that is over, bound already or somebody else's: "
        "`reason` says which."
    )
    cure = "Nothing is to be done: the session goes on unbound, and the next log-in offers it again."

    def __init__(self, reason: str) -> None:
        super().__init__()
        self.reason = reason

    def as_dict(self) -> dict[str, Any]:
        return {**super().as_dict(), "reason": self.reason}


class FreshnessRequired(SessileError):
    code = "freshness_required"
    http_status = 403
    default_message = "Confirm who you are to continue: the last log-in is too long ago for this."
    cause = "The route asks for a log-in within `max_age_s`, and this one is older."
    cure = "Ask for the password again and call `login()` for the same user."

    def __init__(self, max_age_s: float) -> None:
        super().__init__()
        self.max_age_s = max_age_s

    def as_dict(self) -> dict[str, Any]:
        return {**super().as_dict(), "max_age_s": self.max_age_s}


class OriginRefused(SessileError):
    code = "origin_refused"
    http_status = 403
    default_message = "Requests from this origin are not allowed. Add it to SESSILE_ALLOWED_ORIGINS if it is yours."
    cause = "`Origin` is another site, is there twice, or is missing at a socket that comes with a cookie."
    cure = (
        "Add the origin to `allowed_origins` exactly as browsers send it, or put the pages on the service's own origin."
    )


class CsrfFailed(SessileError):
    code = "csrf_failed"
    http_status = 403
    default_message = "The request does not prove that it comes from this site (Origin or Sec-Fetch-Site)."
    cause = "An unsafe request with the cookie has neither `Origin` nor `Sec-Fetch-Site: same-origin`."
    cure = "Browsers send them. A script uses a bearer token instead of the cookie."


class HandoffRefused(SessileError):
    """`reason` is `unknown` (no such code, or not any more), `refused` (the first device said no), `ended` (the session that offered it is over)
    or `state` (there is nothing to agree to)."""

    code = "handoff_refused"
    http_status = 404
    default_message = "This code is not valid, or not any more. Show a new one on the other device."
    cause = "The code was mistyped, used, is older than two minutes, or was not agreed to; `reason` says which, as far as it may be told."
    cure = "Offer a new code on the device that is logged in."

    def __init__(self, reason: Literal["unknown", "refused", "ended", "state"]) -> None:
        super().__init__("The other device did not agree." if reason == "refused" else None)
        self.reason = reason

    def as_dict(self) -> dict[str, Any]:
        return {**super().as_dict(), "reason": self.reason}


class TooManyTries(SessileError):
    """Something was done more often than is allowed within a time. `retry_after_s` is that time, so trying again then is surely in time."""

    code = "too_many"
    http_status = 429
    retryable = True
    default_message = "Too many tries. Wait a moment, and try again."
    retry_after_s = 120
    cause = "Five wrong hand-off codes from one address, or more logins, platform switches or new documents than the settings allow."
    cure = "Wait for `Retry-After`. Behind a proxy name it in `trusted_proxies`, or all visitors are one address."

    def __init__(self, retry_after_s: int = 120) -> None:
        super().__init__()
        self.retry_after_s = retry_after_s


class PlatformRefused(SessileError):
    """`reason` is `missing`, `other_owner` or `inactive`. Only the application learns it from here: over the wire somebody else's platform is
    `missing` like one that there never was."""

    code = "platform_refused"
    http_status = 404
    default_message = "There is no such platform."
    cause = "The platform is not among the user's, or not active: for the application `reason` says which."
    cure = "`sync_platforms` mirrors the user's accounts; a page asks for the list and lets the user choose."

    def __init__(self, reason: Literal["missing", "other_owner", "inactive"]) -> None:
        super().__init__("This platform is not active any more." if reason == "inactive" else None)
        self.reason = reason

    def as_dict(self) -> dict[str, Any]:
        return {**super().as_dict(), "reason": "inactive" if self.reason == "inactive" else "missing"}
