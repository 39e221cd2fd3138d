"""What the tests of this folder share: a store that can be watched and switched off, a clock that is set, an application in process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import httpx
from fastapi import FastAPI
from starlette.applications import Starlette

from sessile.integrations.fastapi import Sessile
from sessile.model.errors import StoreUnavailable
from sessile.model.health import PoolStatus
from sessile.model.session import Session
from sessile.ports import CommitGuard, Listener, Store, Transaction
from sessile.runtime.assemble import make_store
from sessile.runtime.manager import AsyncSessionManager
from sessile.runtime.settings import Settings

T = TypeVar("T")
START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
BACKGROUND = {"_lease", "_touch", "_forget_events"}


class SetClock:
    def __init__(self) -> None:
        self.time = START

    def now(self) -> datetime:
        return self.time

    def advance(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)


class WatchedStore:
    """Passes everything on, remembers what for, and fails like a store that is away while `is_away`."""

    def __init__(self, inner: Store) -> None:
        self._inner = inner
        self.writes_at_once = inner.writes_at_once
        self.reads: list[str] = []
        self.writes: list[str] = []
        self.is_away = False

    async def open(self) -> None:
        self._check()
        await self._inner.open()

    async def close(self) -> None:
        await self._inner.close()

    async def write(self, work: Callable[..., T], *args: Any) -> T:
        self._check()
        self.writes.append(work.__name__)
        return await self._inner.write(work, *args)

    async def read(self, work: Callable[..., T], *args: Any) -> T:
        self._check()
        self.reads.append(work.__name__)
        return await self._inner.read(work, *args)

    async def transact(self, work: Callable[[Any], T]) -> T:
        self._check()
        return await self._inner.transact(work)

    def pool(self) -> PoolStatus | None:
        return self._inner.pool()

    async def poll(self) -> None:
        await self._inner.poll()

    async def tidy(self) -> None:
        await self._inner.tidy()

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        return self._inner.subscribe(listener)

    def guard(self, guard: CommitGuard) -> None:
        self._inner.guard(guard)

    def _check(self) -> None:
        if self.is_away:
            raise StoreUnavailable


@dataclass
class Site:
    app: FastAPI
    manager: AsyncSessionManager
    store: WatchedStore
    clock: SetClock
    gates: dict[str, asyncio.Event] = field(default_factory=dict)

    def client(self, *, scheme: str = "http", host: str = "testserver", asgi: Starlette | None = None, raising: bool = True) -> httpx.AsyncClient:  # fmt: skip
        """A browser of its own: it keeps cookies."""
        transport = httpx.ASGITransport(app=asgi or self.app, raise_app_exceptions=raising)
        return httpx.AsyncClient(transport=transport, base_url=f"{scheme}://{host}")

    def gate(self, name: str) -> asyncio.Event:
        return self.gates.setdefault(name, asyncio.Event())

    def forget(self) -> None:
        self.store.reads.clear()
        self.store.writes.clear()

    @property
    def writes(self) -> list[str]:
        """What was written on behalf of requests."""
        return [name for name in self.store.writes if name not in BACKGROUND]

    async def sessions(self, user_id: str) -> Sequence[Session]:
        return await self.manager.list_sessions(user_id)

    async def record(self, token: str) -> Session:
        return await self.manager.authenticate(token)

    async def audited(self, session_id: str) -> list[str]:
        def look(tx: Transaction) -> list[str]:
            return [event.type for event in tx.audit_stream(f"session:{session_id}")]

        return await self.store.read(look)


@asynccontextmanager
async def site(database_url: str = "memory://", **settings: Any) -> AsyncIterator[Site]:
    """An open manager and an application with Sessile, without routes."""
    made = Settings(database_url=database_url, **settings)
    store, clock = WatchedStore(make_store(made, blocking=False)), SetClock()
    async with AsyncSessionManager(made, store=store, clock=clock) as manager:
        app = FastAPI()
        Sessile(app, manager)
        yield Site(app, manager, store, clock)


def token_of(client: httpx.AsyncClient) -> str:
    """The token in the browser's one session cookie."""
    (token,) = [cookie.value for cookie in client.cookies.jar if cookie.name.endswith("sessile")]
    assert token is not None
    return token


def set_cookies(response: httpx.Response) -> list[str]:
    return response.headers.get_list("set-cookie")


async def both(*requests: Awaitable[httpx.Response]) -> list[httpx.Response]:
    return list(await asyncio.gather(*requests))
