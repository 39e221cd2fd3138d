"""What the service itself refuses, beside the errors of `sessile.model.errors`: frames and requests that never reach the engine."""

from __future__ import annotations

from typing import Any

from sessile.model.errors import SessileError


class Refusal(SessileError):
    """Something a client sent is not taken. `ref` names what it was about: a request id, a document id, or nothing."""

    http_status = 400
    cause = "The root of what the service does not take; only its subclasses are raised."
    cure = "Catch it where all of them mean the same to you."

    def __init__(self, message: str | None = None, *, ref: str | None = None) -> None:
        super().__init__(message)
        self.ref = ref


class MalformedFrame(Refusal):
    """Not a JSON object of a known shape. Also the code of a request body or parameter that does not fit its schema."""

    code = "malformed_frame"
    default_message = "This is not a frame of the protocol."
    cause = "A frame or body that is not JSON, or lacks a field."
    cure = "Compare it with `protocol/schema/client.json`."


class UnknownFrameType(Refusal):
    code = "unknown_type"
    default_message = "There is no frame of this type."
    cause = "A client of a newer version, or a misspelt `type`."
    cure = "Compare `type` with `protocol/README.md`; update the server."


class FrameTooLarge(Refusal):
    code = "too_large"
    http_status = 413
    default_message = "This is larger than the limit."
    cause = "A frame over 96 KiB, or a request body over its bound."
    cure = "Send less at a time: changes can go in several frames."


class TooMany(Refusal):
    """More of something than is allowed at a time. Waiting helps."""

    code = "too_many"
    http_status = 429
    retryable = True
    default_message = "Too many at a time. Wait a moment."
    cause = "Too many documents, snapshots or unproven connections of one address at once."
    cure = "Close what is not needed, and wait a moment."


class InvalidRequest(Refusal):
    """A body, path or query parameter that does not fit its schema. `errors` lists place and problem of each fault."""

    code = "malformed_frame"
    http_status = 422
    default_message = "The request does not fit its description."
    cause = "A field is missing, misspelt or of the wrong type."
    cure = "`errors` names each place; the OpenAPI document describes them."

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
    cause = "A form was sent, or the header is missing."
    cure = "Send `Content-Type: application/json`, or `application/merge-patch+json` for a patch."


class NoSuchPage(Refusal):
    code = "not_found"
    http_status = 404
    default_message = "There is nothing at this address."
    cause = "A misspelt address, or a route that a setting turns off (`service_key`)."
    cure = "Compare it with `/api/v0/openapi.json`."


class LivePushUnavailable(Refusal):
    """A socket or a stream of events, asked of a server that would have to keep a worker busy for each (WSGI)."""

    code = "live_push_unavailable"
    http_status = 501
    default_message = "This server cannot push. Ask for the changes now and then instead (GET .../changes)."
    cause = "A Flask or Django application under a WSGI server: a socket or a stream would hold one of its workers for as long as a page is open."
    cure = "Serve the application with `sessile serve --wsgi module:app`; until then clients ask `GET /api/v0/documents/{id}/changes`, every five seconds for instance."


class Draining(Refusal):
    """The server takes nothing new any more. Another one, or the next one, does."""

    code = "store_unavailable"
    http_status = 503
    retryable = True
    retry_after_s = 2
    default_message = "The server is going away. Try again in a moment."
    cause = "The process was told to stop and finishes what is under way."
    cure = "Come back: the clients do it by themselves."


class MethodRefused(Refusal):
    code = "method_not_allowed"
    http_status = 405
    default_message = "This address does not take that method."
    cause = "The address is right and the method is not."
    cure = "The header `Allow` has those that are."


class ForeignSession(Refusal):
    """No such session among one's own. Somebody else's and a nonexistent one answer alike."""

    code = "session_not_found"
    http_status = 404
    default_message = "There is no such session among yours."
    cause = "The handle is wrong, over, or another user's."
    cure = "List one's own sessions and take a handle from there."


class PreconditionRequired(Refusal):
    """RFC 6585 section 3: a blind overwrite is refused."""

    code = "precondition_required"
    http_status = 428
    default_message = "Say which version you change with the header If-Match (the ETag you read, or *)."
    cause = "A patch came without `If-Match`."
    cure = "Read the document and send its `ETag` back."


class PreconditionFailed(Refusal):
    """RFC 9110 section 15.5.13. `current` is the ETag of what stands there now."""

    code = "version_conflict"
    http_status = 412
    default_message = "It was changed meanwhile."
    cause = "Somebody changed the document after it was read."
    cure = "Read it again (`current` is its `ETag`), decide anew, and send that."

    def __init__(self, current: str) -> None:
        super().__init__()
        self.current = current

    def as_dict(self) -> dict[str, Any]:
        return {**super().as_dict(), "current": self.current}
