"""Responses: JSON as msgspec writes it, and headers that every answer of the service carries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from starlette.responses import Response

from sessile.model.document import Document
from sessile.web.asgi import App, Message, Receive, Scope, Send
from sessile.web.problems import NO_STORE, STRICT

_STRICT: Final = [(name.encode(), value.encode()) for name, value in STRICT.items()]
_UNSTORED: Final = ((b"cache-control", NO_STORE.encode()), (b"vary", b"Cookie"))
_ENCODER = msgspec.json.Encoder()


class Json(Response):
    """Any JSON value; dates and tuples as msgspec writes them."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return _ENCODER.encode(content)


def etag(document: Document) -> str:
    """A strong validator (RFC 9110 section 8.8.3): the position in the document's log."""
    return f'"{document.epoch}.{document.version}"'


class PrivateAnswers:
    """Marks every response as private, not to be stored and depending on the cookie, unless the route said something else."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = message.setdefault("headers", [])
                known = {name for name, _ in headers}
                headers += [(name, value) for name, value in _STRICT if name not in known]
                if b"cache-control" not in known:
                    headers[:] = [pair for pair in headers if pair[0] != b"vary"]
                    headers += _UNSTORED
            await send(message)

        await self._app(scope, receive, marked)


def ok(content: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Json:
    return Json(content, status_code=status, headers=headers)
