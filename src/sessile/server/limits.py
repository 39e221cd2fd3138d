"""What a request may be, looked at before any route: size, content type, well-formed JSON. Pure ASGI, outside the framework.

OWASP ASVS 5.0 3.5 (content type), 4.2 (size) and 15.3 (parser limits).
"""

from __future__ import annotations

from typing import Final

import msgspec

from sessile.model.errors import SessileError
from sessile.model.limits import STATE_BYTES_MAX
from sessile.server.refusals import FrameTooLarge, JsonRequired, MalformedFrame
from sessile.web.asgi import SAFE_METHODS, App, Message, Receive, Scope, Send
from sessile.web.problems import send_problem

BODY_BYTES_MAX: Final = STATE_BYTES_MAX + 64 * 1024
"""A whole state and its envelope."""
_JSON_TYPES: Final = frozenset({b"application/json", b"application/merge-patch+json"})


class BodyLimits:
    """Reads the whole body of an unsafe request, refuses what no route would take, and hands the rest on."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in SAFE_METHODS:
            await self._app(scope, receive, send)
            return
        try:
            body = await _read(scope, receive)
            _check(scope, body)
        except SessileError as error:
            await send_problem(error, send)
            return
        if body is None:
            return  # the peer left before its request was complete
        await self._app(scope, _replay(body, receive), send)


async def _read(scope: Scope, receive: Receive) -> bytes | None:
    announced = dict(scope["headers"]).get(b"content-length", b"0")
    if announced.isdigit() and int(announced) > BODY_BYTES_MAX:
        raise FrameTooLarge(f"A request body has at most {BODY_BYTES_MAX} bytes.")
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        part = message.get("body", b"")
        size += len(part)
        if size > BODY_BYTES_MAX:
            raise FrameTooLarge(f"A request body has at most {BODY_BYTES_MAX} bytes.")
        parts.append(part)
        if not message.get("more_body", False):
            return b"".join(parts)


def _check(scope: Scope, body: bytes | None) -> None:
    """A body is JSON and says so. Raises JsonRequired or MalformedFrame."""
    types = [value for name, value in scope["headers"] if name == b"content-type"]
    if not body:
        if types and _essence(types[0]) not in _JSON_TYPES:
            raise JsonRequired
        return
    if len(types) != 1 or _essence(types[0]) not in _JSON_TYPES:
        raise JsonRequired
    try:
        msgspec.json.decode(body)
    except RecursionError:
        raise MalformedFrame("The body is nested too deeply.") from None
    except (msgspec.DecodeError, UnicodeError):
        raise MalformedFrame("The body is not JSON (RFC 8259): UTF-8, no NaN, no lone surrogates.") from None


def _essence(content_type: bytes) -> bytes:
    return content_type.split(b";", 1)[0].strip().lower()


def _replay(body: bytes, receive: Receive) -> Receive:
    """The body again, then what the server has to say (the disconnect)."""
    is_read = False

    async def again() -> Message:
        nonlocal is_read
        if is_read:
            return await receive()
        is_read = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again
