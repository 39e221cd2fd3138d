"""The headers of every response of the demo: a strict policy for pages, and files that are asked for again."""

from __future__ import annotations

from typing import Final

from sessile.web.asgi import App, Message, Receive, Scope, Send

CONTENT_SECURITY_POLICY: Final = (
    "default-src 'self'; base-uri 'none'; object-src 'none'; form-action 'self'; frame-ancestors 'none'"
)
_HEADERS: Final = (
    (b"content-security-policy", CONTENT_SECURITY_POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
_FILES: Final = "/demo/"


class PageHeaders:
    """Pure ASGI, the outermost. A header that the application has set stays as it is."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        own = [*_HEADERS, *([(b"cache-control", b"no-cache")] if scope["path"].startswith(_FILES) else [])]

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = list(message.get("headers", ()))
                known = {name.lower() for name, _ in headers}
                headers += [(name, value) for name, value in own if name not in known]
                message = {**message, "headers": headers}
            await send(message)

        await self._app(scope, receive, send_with_headers)
