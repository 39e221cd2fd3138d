"""A service over HTTP that answers as a test says, without a network; for `Transport(over=...)`."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import httpx

from sessile.client.api import Api
from sessile.client.credential import Credential, OnToken, Token
from sessile.client.transport import Transport

URL = "https://service.example/sub/"
HANDLE = "01900000-0000-7000-8000-000000000001"
DEVICE = "01900000-0000-7000-8000-0000000000d1"
AT = "2026-01-01T00:00:00.000Z"


def token(letter: str = "s") -> str:
    return f"{HANDLE}.{letter * 43}"


def session(**more: Any) -> dict[str, Any]:
    return {
        "session_id": HANDLE,
        "user": {"id": "ann"},
        "platform": None,
        "created_at": AT,
        "last_activity": AT,
        "idle_expires_at": "2026-01-02T00:00:00.000Z",
        "absolute_expires_at": "2026-01-03T00:00:00.000Z",
        "expires_at": "2026-01-02T00:00:00.000Z",
        "can_extend": True,
        "remembered": False,
        **more,
    }


def problem(code: str, status: int, **more: Any) -> httpx.Response:
    body = {"type": "about:blank", "code": code, "message": "No.", "retryable": False, **more}
    return httpx.Response(
        status, content=json.dumps(body), headers={"content-type": "application/problem+json; charset=utf-8"}
    )


Handler = Callable[[httpx.Request], Awaitable[httpx.Response]] | Callable[[httpx.Request], httpx.Response]


class FakeService:
    """`answers` by method and path below `api/v0/`: JSON of a 200, a response, or a handler. Anything else is a 404 of the service."""

    def __init__(self, answers: dict[str, Any]) -> None:
        self.requests: list[httpx.Request] = []
        self.transport = httpx.MockTransport(self._answer)
        self._answers = answers

    @property
    def tokens(self) -> list[str]:
        return [request.headers.get("authorization", "").removeprefix("Bearer ") for request in self.requests]

    def body(self, index: int = -1) -> Any:
        return json.loads(self.requests[index].content)

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        path = request.url.raw_path.decode().removeprefix("/sub/api/v0/").partition("?")[0]
        answer = self._answers.get(f"{request.method} {path}")
        if answer is None:
            return problem("not_found", 404)
        if callable(answer):
            answer = answer(request)
            if not isinstance(answer, httpx.Response):
                answer = await answer
        return answer if isinstance(answer, httpx.Response) else httpx.Response(200, json=answer)


class FakeHost:
    def __init__(self) -> None:
        self.shown: list[Any] = []

    async def device_id(self) -> str:
        return DEVICE

    def session_shown(self, session: Any) -> None:
        self.shown.append(session)


def api_on(
    service: FakeService,
    source: Token | None = None,
    *,
    on_token: OnToken | None = None,
    host: FakeHost | None = None,
    **more: Any,
) -> Api:
    credential = Credential(token() if source is None else source, on_token)
    transport = Transport(URL, credential=credential, over=service.transport, **more)
    return Api(transport, credential, host or FakeHost())
