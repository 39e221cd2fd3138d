"""The example that takes the place of Starlette's middleware: what is printed in its guide is what runs here."""

from __future__ import annotations

import ast
import runpy
import warnings
from pathlib import Path
from typing import Any

import pytest
from fastapi import BackgroundTasks, FastAPI, Request, WebSocket

from sessile.integrations.fastapi import DetachedSession, Sessile, SessionMiddleware
from sessile.integrations.starlette import session_of
from sessile.model.errors import SessileError
from tests.architecture.tree import ROOT

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # the client warns about the library below it when it is imported
    from starlette.testclient import TestClient

EXAMPLE = ROOT / "examples" / "starlette_sessions" / "app.py"
GUIDE = ROOT / "docs" / "how-to" / "starlette-sessions.md"


def blocks() -> list[str]:
    """The Python blocks of the guide."""
    parts = GUIDE.read_text(encoding="utf-8").split("```python\n")[1:]
    return [part.partition("```\n")[0] for part in parts]


def test_the_guide_prints_the_example() -> None:
    source = EXAMPLE.read_text(encoding="utf-8")
    assert ast.dump(ast.parse(blocks()[0])) == ast.dump(ast.parse(source))
    assert len(source.splitlines()) < 40


def test_the_example_does_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SESSILE_DATABASE_URL", f"sqlite:///{tmp_path / 'shop.db'}")
    monkeypatch.setenv("SECRET_KEY", "k" * 64)
    app = runpy.run_path(str(EXAMPLE))["app"]
    with TestClient(app) as browser:
        assert browser.get("/").json() == {"visits": 1}
        with browser.websocket_connect("/chat") as socket:
            socket.send_text("hello")
            assert socket.receive_text() == "heard hello"
            assert browser.get("/").json() == {"visits": 2, "last": "hello"}  # saved while the socket is open
        assert browser.post("/report").status_code == 200
        assert browser.get("/").json() == {"visits": 3, "last": "hello", "report": "ready"}
    with TestClient(app, cookies=dict(browser.cookies)) as browser:
        assert browser.get("/").json()["visits"] == 4  # it is in the file


def test_the_background_task_of_the_guide(tmp_path: Path) -> None:
    names: dict[str, Any] = {"DetachedSession": DetachedSession}
    exec(blocks()[1], names)
    app = FastAPI()
    Sessile(app, database_url=f"sqlite:///{tmp_path / 's.db'}")

    @app.post("/report")
    async def report(request: Request, tasks: BackgroundTasks):
        request.session["asked"] = True
        tasks.add_task(names["make_report"], session_of(request).detached())

    @app.get("/")
    async def show(request: Request):
        documents = await session_of(request).documents.list()
        return {**request.session, "documents": [document.name for document in documents]}

    with TestClient(app) as browser:
        browser.post("/report")
        assert browser.get("/").json() == {"asked": True, "report": "ready", "documents": ["report"]}


@pytest.mark.parametrize("verb", ["write", "login", "rotate"])
def test_a_session_cannot_begin_over_a_socket(verb: str) -> None:
    app = FastAPI()
    app.add_middleware(SessionMiddleware, database_url="memory://")

    @app.websocket("/")
    async def handler(socket: WebSocket):
        await socket.accept()
        try:
            session = session_of(socket)
            if verb == "write":
                session["a"] = 1
            else:
                await (session.login("ann") if verb == "login" else session.rotate())
        except SessileError as error:
            await socket.send_text(error.code)
        await socket.close()

    with TestClient(app) as browser, browser.websocket_connect("/") as socket:
        assert socket.receive_text() == (
            "session_read_only" if verb in {"write", "rotate"} else "session_update_failed"
        )
