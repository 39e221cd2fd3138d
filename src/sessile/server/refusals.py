"""What the service itself refuses, beside the errors of `sessile.model.errors`: frames and requests that never reach the engine."""

from __future__ import annotations

from typing import Any

from sessile.model.errors import SessileError


class Refusal(SessileError):
    """Something a client sent is not taken. `ref` names what it was about: a request id, a document id, or nothing."""

    http_status = 400

    def __init__(self, message: str | None = None, *, ref: str | None = None) -> None:
        super().__init__(message)
        self.ref = ref


class MalformedFrame(Refusal):
    """Not a JSON object of a known shape. Also the code of a request body or parameter that does not fit its schema."""

    code = "malformed_frame"
    default_message = "This is not a frame of the protocol."


class UnknownFrameType(Refusal):
    code = "unknown_type"
    default_message = "There is no frame of this type."


class FrameTooLarge(Refusal):
    code = "too_large"
    http_status = 413
    default_message = "This is larger than the limit."


class TooMany(Refusal):
    """More of something than is allowed at a time. Waiting helps."""

    code = "too_many"
    http_status = 429
    retryable = True
    default_message = "Too many at a time. Wait a moment."


class InvalidRequest(Refusal):
    """A body, path or query parameter that does not fit its schema. `errors` lists place and problem of each fault."""

    code = "malformed_frame"
    http_status = 422
    default_message = "The request does not fit its description."

    def __init__(self, errors: list[dict[str, str]]) -> None:
        super().__init__()
        self.errors = errors

    def as_dict(self) -> dict[str, Any]:
        return {**super().as_dict(), "errors": self.errors}


class JsonRequired(Refusal):
    """ASVS 5.0 3.5: a content type that a plain HTML form cannot send is part of the defence against forged requests."""

    code = "malformed_frame"
    http_status = 415
    default_message = "Send JSON with the header Content-Type: application/json."


class NoSuchPage(Refusal):
    code = "not_found"
    http_status = 404
    default_message = "There is nothing at this address."


class Draining(Refusal):
    """The server takes nothing new any more. Another one, or the next one, does."""

    code = "store_unavailable"
    http_status = 503
    retryable = True
    default_message = "The server is going away. Try again in a moment."


class MethodRefused(Refusal):
    code = "method_not_allowed"
    http_status = 405
    default_message = "This address does not take that method."


class ForeignSession(Refusal):
    """No such session among one's own. Somebody else's and a nonexistent one answer alike."""

    code = "session_not_found"
    http_status = 404
    default_message = "There is no such session among yours."


class PreconditionRequired(Refusal):
    """RFC 6585 section 3: a blind overwrite is refused."""

    code = "precondition_required"
    http_status = 428
    default_message = "Say which version you change with the header If-Match (the ETag you read, or *)."


class PreconditionFailed(Refusal):
    """RFC 9110 section 15.5.13. `current` is the ETag of what stands there now."""

    code = "version_conflict"
    http_status = 412
    default_message = "It was changed meanwhile."

    def __init__(self, current: str) -> None:
        super().__init__()
        self.current = current

    def as_dict(self) -> dict[str, Any]:
        return {**super().as_dict(), "current": self.current}
