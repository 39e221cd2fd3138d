"""A console for a test, in the test's own loop and without a network, with operators who are signed in."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from sessile.model.operator_access import Role
from sessile.runtime.manager import AsyncSessionManager
from sessile.runtime.settings import Settings
from sessile.server.app import Service, create_app
from tests.integration.server.running import SettableClock

ORIGIN = "https://ops.example"
COOKIE = "__Host-sessile-console"
API = "/api/console"


@dataclass
class Operator:
    """A browser in which somebody is signed in."""

    http: httpx.AsyncClient
    csrf: str = ""
    name: str = ""
    headers: dict[str, str] = field(default_factory=dict)

    async def get(self, path: str, **params: Any) -> httpx.Response:
        return await self.http.get(API + path, params=params, headers=self.headers)

    async def json(self, path: str, **params: Any) -> Any:
        answer = await self.get(path, **params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def send(self, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        given = {"origin": ORIGIN, "x-csrf-token": self.csrf, **headers}
        return await self.http.request(method, API + path, json=body, headers=given)

    async def post(self, path: str, **body: Any) -> httpx.Response:
        return await self.send("POST", path, body)


@dataclass
class Bench:
    manager: AsyncSessionManager
    service: Service
    clock: SettableClock
    root_path: str = ""

    def browser(self, address: str = "192.0.2.7") -> httpx.AsyncClient:
        transport = httpx.ASGITransport(
            app=self.service, root_path=self.root_path, client=(address, 1), raise_app_exceptions=False
        )
        return httpx.AsyncClient(transport=transport, base_url=ORIGIN)

    async def token(self, role: Role = Role.OPERATOR, name: str = "ada", lifetime_s: float = 900) -> str:
        return (await self.manager.operator_access.issue_token(name, role, lifetime_s=lifetime_s, made_by="root")).token

    async def sign_in(self, role: Role = Role.OPERATOR, name: str = "ada") -> Operator:
        http = self.browser()
        answer = await http.post(
            f"{self.root_path}/console/login", data={"token": await self.token(role, name)}, headers={"origin": ORIGIN}
        )
        assert answer.status_code == 303, answer.text
        operator = Operator(http, name=name)
        operator.csrf = (await operator.json("/session"))["csrf"] if not self.root_path else ""
        return operator

    def count_anew(self) -> None:
        """The next look at the numbers asks the store."""
        assert self.service.console is not None
        self.service.console.monitor.counted_at = float("-inf")

    async def acts(self, stream: str = "system") -> list[dict[str, Any]]:
        """What the audit log says of operators, oldest first."""
        events = await self.manager.audit.events(stream)
        return [{"type": one.type, **one.data} for one in reversed(events) if one.type.startswith("operator")]


@asynccontextmanager
async def console(*, root_path: str = "", **settings: Any) -> AsyncIterator[Bench]:
    clock = SettableClock()
    given = {"database_url": "memory://", "console": True, **settings}
    manager = AsyncSessionManager(Settings(**given), clock=clock)
    service = create_app(manager, standalone=True)
    await service.start()
    try:
        yield Bench(manager, service, clock, root_path)
    finally:
        await service.close()
