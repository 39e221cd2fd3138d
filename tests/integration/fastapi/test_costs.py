"""What a request costs the servers behind it, counted there: commands of Redis, statements of SQL, touches."""

from __future__ import annotations

import asyncio
import gc
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis
from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles
from sqlalchemy import event
from sqlalchemy.engine import Engine
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from sessile import AsyncSessionManager, Settings
from sessile.integrations.fastapi import CurrentSession, Sessile, SessionMiddleware, WebSession
from sessile.testing.servers import RedisServer
from tests.conftest import redis_or_skip
from tests.integration.fastapi.site import set_cookies, site

READS = 8
_SESSIONS = re.compile(r"\b(sessions|principals|documents|audit_events)\b")


@pytest.fixture(scope="module")
def redis_server() -> Iterator[RedisServer]:
    server = redis_or_skip()
    server.start()
    yield server
    server.close()


@contextmanager
def statements() -> Iterator[list[str]]:
    """Those that have to do with sessions; what the background work asks for (the fence, news, leases) is not a request's."""
    seen: list[str] = []

    def look(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if _SESSIONS.search(statement):
            seen.append(statement)

    event.listen(Engine, "before_cursor_execute", look)
    try:
        yield seen
    finally:
        event.remove(Engine, "before_cursor_execute", look)


class Commands:
    """What Redis was asked for since the last look."""

    def __init__(self, url: str) -> None:
        self._client = redis.Redis.from_url(url)
        self.forget()

    def forget(self) -> None:
        self._client.config_resetstat()

    def seen(self) -> dict[str, int]:
        stats = self._client.info("commandstats")
        counts = {name.removeprefix("cmdstat_"): int(stat["calls"]) for name, stat in stats.items()}
        return {name: count for name, count in counts.items() if not name.startswith(("config", "info"))}

    def close(self) -> None:
        self._client.close()


class Counted:
    def __init__(
        self, client: httpx.AsyncClient, manager: AsyncSessionManager, commands: Commands, sql: list[str]
    ) -> None:
        self.client = client
        self.manager = manager
        self.commands = commands
        self.sql = sql

    def forget(self) -> None:
        self.sql.clear()
        self.commands.forget()

    async def logged_in(self) -> None:
        """Its session is in the cache and was touched for the first time."""
        await self.client.post("/login/ann")
        await self.client.get("/read")
        await self.manager._touches.write()
        cached = self.manager._cached
        assert cached is not None
        for _ in range(200):
            hits = cached.hits
            await self.client.get("/read")
            if cached.hits > hits:
                return
            await asyncio.sleep(0.05)
        raise AssertionError("the cache was never believed")


@asynccontextmanager
async def counted(server: RedisServer, folder: Path, **extra: Any) -> AsyncIterator[Counted]:
    # So long a period that a slow machine does not read the truth between two looks at the fence.
    settings = Settings(database_url=f"sqlite:///{folder / 's.db'}", redis_url=server.url(), fence_period_s=2)
    files = folder / "files"
    files.mkdir()
    (files / "a.css").write_text("a {}")
    async with AsyncSessionManager(settings) as manager:
        app = FastAPI()
        Sessile(app, manager, **extra)
        app.mount("/static", StaticFiles(directory=files))
        app.mount("/quiet", StaticFiles(directory=files))

        @app.post("/login/{name}")
        async def login(name: str, session: CurrentSession):
            await session.login(name)

        @app.get("/read")
        async def read(session: CurrentSession):
            return session.get("n", 0)

        @app.get("/write")
        async def write(session: CurrentSession):
            session["n"] = session.get("n", 0) + 1

        @app.get("/nothing")
        async def nothing():
            return None

        commands = Commands(server.url())
        transport = httpx.ASGITransport(app=app)
        try:
            async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
                with statements() as sql:
                    yield Counted(client, manager, commands, sql)
        finally:
            commands.close()


async def test_an_anonymous_request_asks_nobody(redis_server: RedisServer, tmp_path: Path) -> None:
    async with counted(redis_server, tmp_path) as here:
        await here.client.get("/nothing")
        here.forget()
        for path in ("/nothing", "/read", "/static/a.css"):
            for _ in range(READS):
                answer = await here.client.get(path)
                assert answer.status_code == 200
                assert set_cookies(answer) == []
        assert here.sql == []
        assert here.commands.seen() == {}


async def test_what_requests_with_a_session_cost(redis_server: RedisServer, tmp_path: Path) -> None:
    async with counted(redis_server, tmp_path, without_session=["/quiet"]) as here:
        await here.logged_in()

        here.forget()  # who reads: one round trip
        for _ in range(READS):
            assert set_cookies(await here.client.get("/read")) == []
        assert here.commands.seen() == {"get": READS}
        assert here.sql == []

        here.forget()  # who does not look at it: no more, and caches are told nothing
        for path in ("/nothing", "/static/a.css"):
            for _ in range(READS):
                assert "vary" not in (await here.client.get(path)).headers
        assert here.commands.seen() == {"get": 2 * READS}
        assert here.sql == []

        here.forget()  # paths without sessions: nothing, whatever cookie comes
        for _ in range(READS):
            assert (await here.client.get("/quiet/a.css")).text == "a {}"
        assert here.commands.seen() == {}
        assert here.sql == []

        await here.client.get("/write")  # Redis sees the script for the first time
        await here.client.get("/read")
        here.forget()  # who writes: one transaction, and no cookie
        assert set_cookies(await here.client.get("/write")) == []
        seen = here.commands.seen()
        # The read; the mark before the commit; the value after it (a script, which does a GET and a SET).
        assert seen.pop("evalsha", 0) + seen.pop("eval", 0) == 1
        assert seen == {"get": 2, "set": 2}
        assert len([statement for statement in here.sql if statement.startswith("UPDATE")]) == 1
        assert len([statement for statement in here.sql if statement.startswith("SELECT")]) == 1


async def test_touches_come_at_the_stated_rate_however_many_requests(database_url: str) -> None:
    async with site(database_url, idle_timeout_s=2000) as here, here.client() as client:

        @here.app.post("/login/{name}")
        async def login(name: str, session: CurrentSession):
            await session.login(name)

        @here.app.get("/read")
        async def read(session: CurrentSession):
            return session.user_id

        async def written() -> int:
            for _ in range(READS):
                await client.get("/read")
            here.forget()
            touches = here.manager._touches
            waiting = len(touches._waiting)
            await touches.write()
            return waiting

        await client.post("/login/ann")
        assert await written() == 1  # the token is seen for the first time
        assert await written() == 0
        here.clock.advance(2000 / 20)
        assert await written() == 0  # not yet more than a twentieth
        here.clock.advance(1)
        assert await written() == 1
        assert await written() == 0


@pytest.mark.parametrize("path", ["/read", "/write", "/nothing"])
async def test_a_request_leaves_no_cycles_to_the_collector(path: str) -> None:
    """With one for each request the collector took a third of a server's time."""

    async def read(request: Request) -> PlainTextResponse:
        return PlainTextResponse(str(request.session.get("n", 0)))

    async def write(request: Request) -> PlainTextResponse:
        request.session["n"] = request.session.get("n", 0) + 1
        return PlainTextResponse("")

    async def nothing(_request: Request) -> PlainTextResponse:
        return PlainTextResponse("")

    app = Starlette(routes=[Route("/read", read), Route("/write", write), Route("/nothing", nothing)])
    async with AsyncSessionManager(Settings(database_url="memory://")) as manager:
        app.add_middleware(SessionMiddleware, manager=manager)
        issued = await manager.create_session(data={"n": 1})

        async def ask() -> None:
            statuses: list[int] = []

            async def receive() -> dict[str, Any]:
                return {"type": "http.request", "body": b"", "more_body": False}

            async def send(message: Any) -> None:
                statuses.extend([message["status"]] if "status" in message else [])

            headers = [(b"host", b"testserver"), (b"cookie", b"sessile=" + issued.token.encode())]
            scope = {"type": "http", "method": "GET", "path": path, "query_string": b"", "headers": headers}
            await app(scope, receive, send)
            assert statuses == [200]

        await ask()
        gc.collect()
        gc.disable()
        try:
            for _ in range(READS):
                await ask()
            # Not isinstance: it asks the object, and a lazy one of somebody else's sets itself up.
            left = [one for one in gc.get_objects() if issubclass(type(one), WebSession)]
        finally:
            gc.enable()
        assert left == []
