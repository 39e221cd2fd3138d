"""Responses: JSON as msgspec writes it, and headers that every answer of the service carries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from starlette.datastructures import MutableHeaders
from starlette.responses import Response

from sessile.model.document import Document
from sessile.web.asgi import App, Message, Receive, Scope, Send
from sessile.web.problems import NO_STORE, STRICT

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
                headers = MutableHeaders(raw=message.setdefault("headers", []))
                for name, value in STRICT.items():
                    headers.setdefault(name, value)
                if "cache-control" not in headers:
                    headers["cache-control"] = NO_STORE
                    headers["vary"] = "Cookie"
            await send(message)

        await self._app(scope, receive, marked)


def ok(content: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Json:
    return Json(content, status_code=status, headers=headers)
