"""An ASGI application beside the service: whose paths are whose, and two lifespans in one."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest

from sessile.cli.hosted import host_asgi
from sessile.model.errors import ConfigurationError
from sessile.runtime import hosting
from sessile.runtime.manager import AsyncSessionManager
from sessile.runtime.settings import Settings
from sessile.server.app import create_app
from sessile.server.hosting import Hosted

PATIENCE_S = 20.0


class Application:
    """Says what it was asked. `lives`: `yes`, `raises` as Django does, or `returns` without a word."""

    def __init__(self, lives: str) -> None:
        self.lives = lives
        self.seen: list[str] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "lifespan":
            self.seen.append(f"{scope['type']} {scope['path']}")
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"mine"})
            return
        if self.lives == "raises":
            raise ValueError("this application knows requests only")
        if self.lives == "returns":
            return
        while True:
            kind = (await receive())["type"]
            self.seen.append(kind)
            await send({"type": f"{kind}.complete"})
            if kind == "lifespan.shutdown":
                return


class Lifespan:
    """The server's side of one."""

    def __init__(self, app: Any) -> None:
        self._to: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._from: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._task = asyncio.ensure_future(app({"type": "lifespan"}, self._to.get, self._from.put))

    async def ask(self, kind: str) -> dict[str, Any]:
        self._to.put_nowait({"type": kind})
        return await asyncio.wait_for(self._from.get(), PATIENCE_S)

    async def ended(self) -> None:
        await asyncio.wait_for(self._task, PATIENCE_S)


@pytest.mark.parametrize("lives", ["yes", "raises", "returns"])
async def test_two_lifespans_are_one_and_each_has_its_paths(lives: str) -> None:
    ended: list[str] = []
    application = Application(lives)
    manager = AsyncSessionManager(Settings(database_url="memory://"))
    service = create_app(manager, standalone=True)
    hosted = Hosted(service, application, has_lifespan=True, at_end=lambda: ended.append("end"))
    lifespan = Lifespan(hosted)
    assert await lifespan.ask("lifespan.startup") == {"type": "lifespan.startup.complete"}
    states = [manager.is_open]
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=hosted), base_url="http://testserver") as client:
        assert (await client.get("/api/session_state")).status_code == 401
        assert (await client.get("/anything")).text == "mine"
        assert (await client.get("/healthz")).text == "mine"
    assert await lifespan.ask("lifespan.shutdown") == {"type": "lifespan.shutdown.complete"}
    await lifespan.ended()
    assert [*states, manager.is_open] == [True, False]
    assert ended == ["end"]
    own = ["lifespan.startup"] if lives == "yes" else []
    assert application.seen == [*own, "http /anything", "http /healthz", *(["lifespan.shutdown"] if own else [])]


async def test_a_store_that_is_not_there_stops_the_start(tmp_path: Path) -> None:
    manager = AsyncSessionManager(Settings(database_url=f"sqlite:///{tmp_path / 'no' / 'folder.db'}"))
    service = create_app(manager, standalone=True)
    lifespan = Lifespan(Hosted(service, Application("yes"), has_lifespan=True, at_end=lambda: None))
    told = await lifespan.ask("lifespan.startup")
    assert told["type"] == "lifespan.startup.failed"
    assert "there is no folder" in told["message"]
    await lifespan.ended()


def test_an_application_that_has_the_service_is_run_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_service.py").write_text(
        "from fastapi import FastAPI\nfrom sessile.integrations.fastapi import Sessile\n"
        "app = FastAPI()\nsessile = Sessile(app, database_url='memory://')\nplain = FastAPI()\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(hosting._State, "is_hosted", False)
    monkeypatch.setattr(hosting, "_OFFERED", [])
    monkeypatch.setenv("SESSILE_DATABASE_URL", "memory://")
    site = host_asgi("own_service:app")
    assert type(site.app).__name__ == "FastAPI"
    assert site.settings.database_url == "memory://"
    assert type(host_asgi("own_service:plain").app) is Hosted
    with pytest.raises(ConfigurationError, match="no application"):
        host_asgi("own_service:__name__")
