"""Errors as problem responses (RFC 9457), in plain ASGI messages: for requests that end before or outside any framework."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any, Final

import msgspec

from sessile.model.errors import (
    AuthenticationRequired,
    SessileError,
    SessionEnded,
    SessionExpired,
    SessionNotFound,
    StoreUnavailable,
)
from sessile.web.asgi import Send

logger = logging.getLogger("sessile.web")

MEDIA_TYPE: Final = "application/problem+json"
NO_STORE: Final = "private, no-store"
STRICT: Final = {
    "content-security-policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; sandbox",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}
"""Of every answer that is data: opened as a page it shows nothing, runs nothing, is framed and embedded by nobody (ASVS 3.2.1, 3.4)."""
RawHeaders = list[tuple[bytes, bytes]]

_CLOSE_CODES: Final[tuple[tuple[type[SessileError], int], ...]] = (
    (StoreUnavailable, 4003),
    (SessionEnded, 4501),
    (SessionExpired, 4502),
    (SessionNotFound, 4504),
    (AuthenticationRequired, 4504),
)
"""As in protocol/codes.json, so that a page needs one table for the application's sockets and for ours."""
_INTERNAL_ERROR: Final = 1011


def problem_body(error: SessileError) -> dict[str, Any]:
    """RFC 9457 members, then ours. `type` is `about:blank`: the code says more than a page would."""
    return {
        "type": "about:blank",
        "title": HTTPStatus(error.http_status).phrase,
        "status": error.http_status,
        "detail": error.message,
        **error.as_dict(),
    }


def problem_headers(error: SessileError) -> dict[str, str]:
    """Never cached; says when to try again where that is known (RFC 9110 section 10.2.3), and with 401 how to say who one is (RFC 9110 section 15.5.2)."""
    headers = {"cache-control": NO_STORE, "vary": "Cookie", **STRICT}
    if error.retry_after_s:
        headers["retry-after"] = str(error.retry_after_s)
    if error.http_status == HTTPStatus.UNAUTHORIZED:
        headers["www-authenticate"] = "Bearer"
    return headers


def log_fault(error: SessileError) -> None:
    """What is the application's own fault goes into the log with its traceback; refusals and outages are answers, not faults."""
    if error.http_status >= HTTPStatus.INTERNAL_SERVER_ERROR and not error.retryable:
        logger.error("A request failed: %s", error.code, exc_info=error, extra={"event_name": "request_failed"})


async def send_problem(error: SessileError, send: Send, extra: Iterable[tuple[bytes, bytes]] = ()) -> None:
    """The whole response."""
    log_fault(error)
    body = msgspec.json.encode(problem_body(error))
    await send({"type": "http.response.start", "status": error.http_status, "headers": _raw(error, body, extra)})
    await send({"type": "http.response.body", "body": body})


async def refuse_socket(error: SessileError, send: Send, *, accepted: bool, can_answer: bool) -> None:
    """Ends a WebSocket: before it is accepted with the problem response where the server can send one (else it answers 403), later with a
    close code."""
    log_fault(error)
    if accepted:
        code = next((code for kind, code in _CLOSE_CODES if isinstance(error, kind)), _INTERNAL_ERROR)
        await send({"type": "websocket.close", "code": code, "reason": error.code})
    elif can_answer:
        body = msgspec.json.encode(problem_body(error))
        headers = _raw(error, body, ())
        await send({"type": "websocket.http.response.start", "status": error.http_status, "headers": headers})
        await send({"type": "websocket.http.response.body", "body": body})
    else:
        await send({"type": "websocket.close", "code": 1008, "reason": error.code})


def _raw(error: SessileError, body: bytes, extra: Iterable[tuple[bytes, bytes]]) -> RawHeaders:
    headers = {"content-type": MEDIA_TYPE, "content-length": str(len(body)), **problem_headers(error)}
    return [*((name.encode("ascii"), value.encode("latin-1")) for name, value in headers.items()), *extra]
