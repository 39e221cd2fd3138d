"""What the console itself refuses, beside the errors of `sessile.model.errors` and `sessile.server.refusals`."""

from __future__ import annotations

from typing import Any

from sessile.model.errors import SessileError, SessionEnded, SessionExpired, SessionNotFound
from sessile.model.operator_access import RIGHTS, Right, Role
from sessile.server.refusals import Refusal


class RoleRefused(Refusal):
    """`needed` has the roles that may."""

    code = "role_refused"
    http_status = 403
    default_message = "Your role may not do this."
    cause = "The operator's role has not the right that the route needs."
    cure = "Ask somebody with one of the roles in `needed`, or for a token with such a role."

    def __init__(self, role: Role, right: Right) -> None:
        super().__init__(f"A {role} may not do this ({right}).")
        self.role = role
        self.right = right

    def as_dict(self) -> dict[str, Any]:
        needed = [str(role) for role, rights in RIGHTS.items() if self.right in rights]
        return {**super().as_dict(), "role": str(self.role), "right": str(self.right), "needed": needed}


class ConfirmationNeeded(Refusal):
    """It concerns `count` sessions, and the request did not confirm that number."""

    code = "confirmation_needed"
    http_status = 409
    default_message = "This concerns many sessions. Confirm their number."
    cause = "More sessions than may be ended without typing their number, or another number than was confirmed."
    cure = "Show `count` to a person, let them type it, and send it as `confirm`."

    def __init__(self, count: int) -> None:
        super().__init__(f"This ends {count} sessions: send that number as `confirm`.")
        self.count = count

    def as_dict(self) -> dict[str, Any]:
        return {**super().as_dict(), "count": self.count}


class SessionOver(Refusal):
    """The session that something should be done to is over. It says nothing about the operator's own."""

    code = "session_over"
    http_status = 409
    default_message = "This session is over already."
    cause = "It ended, or passed a deadline, before the action came."
    cure = "Nothing is to be done."


class ConsoleNeedsHttps(Refusal):
    code = "console_needs_https"
    http_status = 403
    default_message = "The console is not served over plain http to another machine: whoever shares the network could take it over. Use https."
    cause = "A proxy that ends TLS is not in `trusted_proxies`, or there is no TLS at all."
    cure = "Serve it with https, or open it on the machine itself (an SSH tunnel to 127.0.0.1)."


class SessionNotFoundHere(SessionNotFound):
    """It is about the session that was named, not about the operator's: so not a 401."""

    http_status = 404
    default_message = "There is no session with this handle."
    cause = "A handle that is misspelt, or of a session that was forgotten long ago."
    cure = "Look for it in the list of sessions."


def over(error: SessileError) -> SessileError:
    """An error about the session that was named, as the console tells it: its own operator is signed in all the same."""
    if isinstance(error, SessionNotFoundHere):
        return error
    if isinstance(error, SessionEnded | SessionExpired):
        return SessionOver()
    return SessionNotFoundHere() if isinstance(error, SessionNotFound) else error
