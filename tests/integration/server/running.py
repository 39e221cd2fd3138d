"""A server for a test: in the test's own loop with a real port, or as a process of its own."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from sessile.runtime.manager import AsyncSessionManager
from sessile.runtime.settings import Settings
from sessile.server.app import Service, create_app
from sessile.server.serving import address_of, make_server

SERVICE_KEY = "service-key-of-the-tests-8Qw2Zr5LmX"
JSON = {"content-type": "application/json"}


class SettableClock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self._now = datetime(2026, 4, 1, 12, tzinfo=UTC)

    def now(self) -> datetime:
        return self._now

    def advance(self, seconds: float) -> None:
        self._now += timedelta(seconds=seconds)


@dataclass
class Running:
    """A server that answers. `origin` is its own."""

    origin: str
    manager: AsyncSessionManager
    service: Service

    @property
    def socket_url(self) -> str:
        return self.origin.replace("http", "ws", 1) + "/ws"

    async def token(self, user_id: str | None = "ada") -> str:
        return (await self.manager.create_session(user_id)).token


def settings(**given: Any) -> Settings:
    return Settings(**{"database_url": "memory://", "service_key": SERVICE_KEY, **given})


@asynccontextmanager
async def served(
    *, clock: SettableClock | None = None, stall_timeout_s: float = 15.0, **given: Any
) -> AsyncIterator[Running]:
    """`sessile serve` on a free port, in this loop, so that the test can look inside and move the clock."""
    manager = AsyncSessionManager(settings(**given), clock=clock)
    service = create_app(manager, standalone=True, stall_timeout_s=stall_timeout_s)
    started: asyncio.Future[tuple[str, int]] = asyncio.get_running_loop().create_future()
    waited: set[asyncio.Future[Any]] = {started}
    server = make_server(
        service,
        host="127.0.0.1",
        port=0,
        drain=service.drain,
        on_started=lambda host, port: started.set_result((host, port)),
    )
    # Not serve(): it would take over the signals of the test run.
    serving = asyncio.create_task(server._serve())
    await asyncio.wait({serving, *waited}, return_when=asyncio.FIRST_COMPLETED)
    assert started.done(), "the server did not start"
    assert started.result() == address_of(server)
    try:
        yield Running(f"http://127.0.0.1:{started.result()[1]}", manager, service)
    finally:
        server.should_exit = True
        await serving


@asynccontextmanager
async def client_of(
    service: Service, *, token: str | None = None, origin: bool = True, base_url: str = "http://testserver"
) -> AsyncIterator[httpx.AsyncClient]:
    """HTTP without a network. With a token the client is a browser on the service's own origin."""
    headers = {"origin": base_url} if origin else {}
    cookies = {"sessile": token} if token is not None else {}
    transport = httpx.ASGITransport(app=service, raise_app_exceptions=True)
    async with httpx.AsyncClient(transport=transport, base_url=base_url, headers=headers, cookies=cookies) as client:
        yield client


@asynccontextmanager
async def service_of(*, clock: SettableClock | None = None, **given: Any) -> AsyncIterator[Service]:
    """The application alone, for `client_of`."""
    service = create_app(AsyncSessionManager(settings(**given), clock=clock), standalone=True)
    try:
        yield service
    finally:
        await service.close()


async def until(condition: Callable[[], bool]) -> None:
    """Returns when it holds. For what the server does on its own and tells nobody."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(0.01)


@dataclass
class ServerProcess:
    origin: str
    process: subprocess.Popen[str]

    @property
    def socket_url(self) -> str:
        return self.origin.replace("http", "ws", 1) + "/ws"

    def token(self, user_id: str = "ada") -> str:
        """A session made the way a service in another language makes one."""
        answer = httpx.post(
            f"{self.origin}/api/v0/sessions",
            json={"user_id": user_id},
            headers={"authorization": f"Bearer {SERVICE_KEY}"},
            timeout=10,
        )
        answer.raise_for_status()
        token: str = answer.json()["token"]
        return token


@contextmanager
def process_on(database: Path, *arguments: str, **environment: str) -> Iterator[ServerProcess]:
    """`sessile serve` as a process on a SQLite file. Killed at the end unless it has ended by itself."""
    known = {name: value for name, value in os.environ.items() if not name.startswith("SESSILE_")}
    process = subprocess.Popen(
        [sys.executable, "-m", "sessile.cli.main", "serve", "--port", "0", "--json", *arguments],
        cwd=database.parent,
        env={
            **known,
            "SESSILE_DATABASE_URL": f"sqlite:///{database}",
            "SESSILE_SERVICE_KEY": SERVICE_KEY,
            **environment,
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        line = process.stdout.readline()
        assert line, process.stderr.read()
        yield ServerProcess(json.loads(line)["address"], process)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()
