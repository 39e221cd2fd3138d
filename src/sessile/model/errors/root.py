"""Where every error begins, and the two that are about neither a session nor a document."""

from __future__ import annotations

from typing import Any, ClassVar


class SessileError(Exception):
    """Root. `code` is stable, `message` is safe to show to anybody, `retryable` says whether the same call may succeed later."""

    code: ClassVar[str] = "internal"
    http_status: ClassVar[int] = 500
    retryable: ClassVar[bool] = False
    retry_after_s: int = 0
    """What an answer says in Retry-After; 0: nothing."""
    default_message: ClassVar[str] = "Something went wrong on the server."
    """For where nothing else is said."""
    cause: ClassVar[str] = "A fault in Sessile or in the application's code, which nobody foresaw."
    """What usually leads to it, for the reference."""
    cure: ClassVar[str] = "Look into the server's log: the traceback is there and nowhere else."
    """What helps, for the reference."""

    def __init__(self, message: str | None = None) -> None:
        self.message = message if message is not None else self.default_message
        super().__init__(self.message)

    def as_dict(self) -> dict[str, Any]:
        """Code, message, retryable: the body of a problem response and of an error frame."""
        return {"code": self.code, "message": self.message, "retryable": self.retryable}


class ConfigurationError(SessileError):
    code = "configuration"
    default_message = "The configuration is not valid."
    cause = "A setting is missing, weak, contradicts another, or does not fit where it is used."
    cure = "Change what the message names. `sessile config show` prints what holds."


class StoreUnavailable(SessileError):
    """The store cannot be reached or did not answer in time. Nothing was decided, nothing was lost."""

    code = "store_unavailable"
    http_status = 503
    retryable = True
    default_message = "The store cannot be reached just now. Nothing was lost; try again."
    retry_after_s = 2
    cause = "The database is down, locked, full or too slow, or the store is not open."
    cure = "Try again after `Retry-After`. An operator looks at `/readyz`, the disk and who holds the lock."


class ContentUnreadable(StoreUnavailable):
    """What is kept is encrypted, and no key that is configured opens it. Never taken for nothing: nobody is logged out by a missing key."""

    code = "content_unreadable"
    http_status = 503
    retryable = True
    default_message = "What is kept here cannot be read just now. Nothing was lost; try again later."
    retry_after_s = 60
    cause = "A key is missing from SESSILE_ENCRYPTION_KEYS, or what is kept was changed or moved by hand."
    cure = "Put the key that the message names back into SESSILE_ENCRYPTION_KEYS. What was changed by hand comes from a backup."
